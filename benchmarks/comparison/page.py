"""A report as sections of sentences, tables and pictures, and as Markdown, HTML and LaTeX."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

UNKNOWN = "–"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text.

    Attributes:
        title: one line above it.
        columns: names with units; the first one's cells are names.
        rows: cells.
        words: numbers of the columns that hold words, which stand left; numbers stand right.
        note: what a reader needs to know, below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture with its two files beside the page.

    Attributes:
        name: file name without its ending.
        caption: what is seen.
        svg: what the page shows.
    """

    name: str
    caption: str
    svg: bytes


@dataclass(frozen=True, kw_only=True)
class Section:
    """A headline and what stands below it, in order; a string is a paragraph."""

    title: str
    parts: Sequence[str | Table | Picture]

    @property
    def anchor(self) -> str:
        """Name of the place in the page."""
        return re.sub(r"\W+", "-", self.title.lower())


def to_markdown(title: str, sections: Iterable[Section], folder: str) -> str:
    """The report as Markdown (GitHub's tables).

    Args:
        title: of the report.
        sections: in order.
        folder: of the pictures, beside the file.
    """
    lines = [f"# {title}"]
    for section in sections:
        lines.append(f"## {section.title}")
        for part in section.parts:
            if isinstance(part, Table):
                lines.append(_markdown_table(part))
            elif isinstance(part, Picture):
                lines.append(f"![{part.caption}]({folder}/{part.name}.svg)")
            else:
                lines.append(_markdown_text(part))
    return "\n\n".join(lines) + "\n"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\|*`\[\]])", r"\\\1", escape(" ".join(text.split()), quote=False))


def _markdown_table(table: Table) -> str:
    marks = [":---" if i in table.words else "---:" for i in range(len(table.columns))]
    rows = [table.columns, *table.rows]
    lines = ["| " + " | ".join(map(_markdown_text, row)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(marks) + " |")
    note = [f"{_markdown_text(table.note)}"] if table.note else []
    return "\n\n".join([f"**{_markdown_text(table.title)}**", "\n".join(lines), *note])


def to_latex(table: Table, label: str) -> str:
    """A table for a paper; needs the package booktabs."""
    kinds = "".join("l" if i in table.words else "r" for i in range(len(table.columns)))
    lines = [
        "% Needs \\usepackage{booktabs}.",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex_text(table.title)}. {_latex_text(table.note)}}}",
        f"\\label{{{label}}}",
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\toprule",
        " & ".join(map(_latex_text, table.columns)) + " \\\\",
        "\\midrule",
        *(" & ".join(map(_latex_text, row)) + " \\\\" for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


_LATEX = {"\\": "\\textbackslash{}", "±": "$\\pm$", "–": "--", "δ": "$\\delta$", "−": "$-$"}
_LATEX |= {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1f24;
  background: #fff; max-width: 66rem; margin: 0 auto; padding: 2rem 1.5rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #d7dce1; }
p { max-width: 46rem; margin: .6rem 0; }
nav { font-size: .92rem; margin-bottom: 1rem; }
nav a { display: inline-block; margin-right: 1.1rem; color: #0b5aa8; text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
.table { margin: 1.4rem 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums;
  border-top: 2px solid #1b1f24; border-bottom: 2px solid #1b1f24; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .32rem .6rem; text-align: right; vertical-align: top; white-space: nowrap; }
th { vertical-align: bottom; border-bottom: 1px solid #1b1f24; font-weight: 600;
  white-space: normal; }
tbody tr + tr td { border-top: 1px solid #e8ebee; }
.word { text-align: left; }
th:first-child, td:first-child { padding-left: .2rem; }
td.long { text-align: left; white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
.note { color: #57606a; font-size: .85rem; }
figure { margin: 1.6rem 0; }
figure img { max-width: 100%; height: auto; }
figure img[id^=genotype] { width: 46rem; }
figcaption { color: #57606a; font-size: .88rem; max-width: 46rem; }
@media print { body { max-width: none; padding: 0; } nav { display: none; }
  figure, tr { break-inside: avoid; } }
"""
_LONG = 40
"""Letters from which a name may wrap."""


def to_html(title: str, sections: Sequence[Section]) -> str:
    """The report as one page that needs nothing else, no network either."""
    links = [f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head>",
        f"<body><h1>{escape(title)}</h1>",
        "<nav>" + "\n".join(links) + "</nav>",
    ]
    for section in sections:
        lines.append(f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>')
        for part in section.parts:
            if isinstance(part, Table):
                lines.append(_html_table(part))
            elif isinstance(part, Picture):
                lines.append(_html_picture(part))
            else:
                lines.append(f"<p>{escape(part)}</p>")
        lines.append("</section>")
    return "\n".join([*lines, "</body></html>"]) + "\n"


def _html_table(table: Table) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        found = []
        for number, cell in enumerate(row):
            names = ["word"] * (number in table.words) + ["long"] * (len(cell) > _LONG)
            kind = f' class="{" ".join(names)}"' if names else ""
            found.append(f"<{tag}{kind}>{escape(cell)}</{tag}>")
        return f"<tr>{''.join(found)}</tr>"

    lines = [
        f'<div class="table"><table><caption>{escape(table.title)}</caption>',
        f"<thead>{cells('th', table.columns)}</thead>",
        "<tbody>",
        *(cells("td", row) for row in table.rows),
        "</tbody></table></div>",
    ]
    note = [f'<p class="note">{escape(table.note)}</p>'] if table.note else []
    return "\n".join([*lines, *note])


def _html_picture(picture: Picture) -> str:
    source = base64.b64encode(picture.svg).decode()
    caption = escape(picture.caption)
    return (
        f'<figure><img id="{escape(picture.name)}" alt="{caption}" '
        f'src="data:image/svg+xml;base64,{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
