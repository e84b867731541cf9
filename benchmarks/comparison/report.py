"""Writes the report of a comparison: page, tables and pictures, from the records of its runs.

The same records give the same bytes, in whatever order they come.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.comparison.charts import draw_anytime, draw_ranks, draw_seeds, draw_sizes
from benchmarks.comparison.checklist import checklist, checklist_table
from benchmarks.comparison.differences import pair_words, pairs_table, rank_words, ranks_table
from benchmarks.comparison.page import Picture, Section, Table, to_html, to_latex, to_markdown
from benchmarks.comparison.records import RANDOM_AVERAGE, RunRecord
from benchmarks.comparison.report_data import (
    as_stored,
    comparison_json,
    flatten,
    in_words,
    runs_csv,
    targets_csv,
)
from benchmarks.comparison.spreads import spread_words, spreads_table
from benchmarks.comparison.summary import Summary, summarise
from benchmarks.comparison.tables import (
    budget_table,
    categories_table,
    costs_table,
    medians_table,
    results_table,
    unfinished_table,
)
from benchmarks.comparison.words import best_genotypes, headline
from generalNAS_tools.files.atomic_files import atomic_write
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.pictures.pictures import draw_genotype, save_figure

TITLE = "Comparison of architecture searches"
PICTURES = "pictures"
"""Folder of the pictures, which holds nothing else."""
GENOTYPES = "genotypes"
"""Folder of the networks of all runs, by arm and seed."""

Part = str | Table | Picture


def write_report(records: Sequence[RunRecord], folder: Path, facts: Mapping[str, object]) -> None:
    """Writes compare.json, runs.csv, targets.csv, report.md, table.tex, report.html, and more.

    Args:
        records: of all runs, those without a result too.
        folder: where to; its folders `pictures` and `genotypes` get what their names say.
        facts: what is known of plan, machine, data, versions and flags, by name.

    Raises:
        ValueError: the records contradict each other, or a file can't be written.
    """
    summary = summarise([_keep_genotype(record, folder / GENOTYPES) for record in records])
    facts = as_stored(facts)
    known = flatten(facts)
    pictures = _Pictures(folder / PICTURES)
    sections = [
        Section(title="In short", parts=headline(summary)),
        _results(summary, pictures),
        _differences(summary, pictures),
        _random_or_seed(summary),
        _costs(summary, pictures),
        _genotypes(summary, pictures),
        Section(title="Checklist", parts=[checklist_table(checklist(summary, known))]),
        _set_up(known),
    ]
    pictures.remove_others()
    table = results_table(summary)
    for name, text in {
        "compare.json": comparison_json(summary, facts, checklist(summary, known), folder),
        "runs.csv": runs_csv(summary.records, folder),
        "targets.csv": targets_csv(summary.records),
        "report.md": to_markdown(TITLE, sections, PICTURES),
        "table.tex": to_latex(table, "tab:comparison"),
        "report.html": to_html(TITLE, sections),
    }.items():
        with atomic_write(folder / name) as file:
            file.write(text.encode())


def _keep_genotype(record: RunRecord, folder: Path) -> RunRecord:
    """Copies a run's genotype, if it can be read; gives the record that names the copy."""
    path = folder / f"{record.arm}-{record.seed}.json"
    if record.genotype == path:
        return record
    try:
        genotype = read_genotype(record.genotype) if record.genotype else None
    except ValueError:
        genotype = None  # the page will tell
    if genotype is None:
        path.unlink(missing_ok=True)
        return record
    with atomic_write(path) as file:
        file.write(genotype.to_json().encode() + b"\n")
    return replace(record, genotype=path)


class _Pictures:
    """Writes pictures as PNG and SVG into a folder, and forgets those of an earlier report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def add(self, name: str, caption: str, write: Callable[[Path], None]) -> Picture:
        """Has a picture written as both."""
        for ending in ("png", "svg"):
            write(self.folder / f"{name}.{ending}")
            self.names.add(f"{name}.{ending}")
        svg = (self.folder / f"{name}.svg").read_bytes()
        return Picture(name=name, caption=caption, svg=svg)

    def chart(self, figure: Figure | None, name: str, caption: str, *, otherwise: str) -> Part:
        """A chart, or a sentence why there is none."""
        if figure is None:
            return otherwise
        return self.add(name, caption, lambda path: save_figure(figure, path))

    def remove_others(self) -> None:
        """Removes pictures that this report doesn't show."""
        for path in self.folder.glob("*.*"):
            if path.suffix in {".png", ".svg"} and path.name not in self.names:
                path.unlink()


def _results(summary: Summary, pictures: _Pictures) -> Section:
    seeds = pictures.chart(
        draw_seeds(summary),
        "seeds",
        "Every seed of every arm. Bars: the mean; bands: its 95 % interval (three seeds or "
        "more); dotted line: mean of the random architectures.",
        otherwise="No run has a result yet.",
    )
    parts = [
        seeds,
        results_table(summary),
        medians_table(summary),
        categories_table(summary),
        unfinished_table(summary),
    ]
    return Section(title="Results", parts=[part for part in parts if part is not None])


def _differences(summary: Summary, pictures: _Pictures) -> Section:
    parts: list[Part | None] = [
        "The unit of every test is a seed. Arms are compared by test AUPRC (mean over targets).",
        pair_words(summary),
        pairs_table(summary) if summary.pairs else None,
        rank_words(summary),
    ]
    figure = draw_ranks(summary.ranking)
    if figure is not None:
        caption = "Mean ranks. Bars join arms that differ by less than the critical difference."
        parts.append(pictures.chart(figure, "ranks", caption, otherwise=""))
    parts.append(ranks_table(summary))
    return Section(title="Differences", parts=[part for part in parts if part is not None])


def _random_or_seed(summary: Summary) -> Section:
    parts: list[Part] = [*spread_words(summary), spreads_table(summary)]
    return Section(title="Architecture or seed", parts=parts)


def _costs(summary: Summary, pictures: _Pictures) -> Section:
    anytime = pictures.chart(
        draw_anytime(summary),
        "anytime",
        "Best validation AUPRC of a search so far: median over seeds, and the band between the "
        "quartiles. Searches score what they train (a supernet, a subnet, a candidate), so levels "
        "of different searches are not the same thing; the shape of each curve is.",
        otherwise="No run wrote how its validation score developed.",
    )
    sizes = pictures.chart(
        draw_sizes(summary),
        "sizes",
        "Every finished network. Ringed and joined: no network with as few parameters is better.",
        otherwise="The size of no network is known.",
    )
    parts: list[Part | None] = [costs_table(summary), budget_table(summary), anytime, sizes]
    return Section(title="Costs", parts=[part for part in parts if part is not None])


def _genotypes(summary: Summary, pictures: _Pictures) -> Section:
    parts: list[Part] = []
    for record in best_genotypes(summary):
        assert record.genotype is not None
        number = "architecture" if record.kind == RANDOM_AVERAGE else "seed"
        name, caption = f"genotype-{record.arm}", f"{record.arm}, {number} {record.seed}."
        try:
            genotype = read_genotype(record.genotype)
        except ValueError as error:
            parts.append(f"{record.arm}, seed {record.seed}: can't be drawn ({error}).")
            continue
        parts.append(
            pictures.add(name, caption, lambda path, g=genotype: draw_genotype(g, path))  # type: ignore[misc]
        )
    words = "Of every arm the network with the best validation score; the test had no say."
    return Section(title="Found networks", parts=[words, *parts] if parts else ["None yet."])


def _set_up(facts: Mapping[str, object]) -> Section:
    rows = [(name, in_words(value)) for name, value in facts.items()]
    table = Table(title="What is fixed", columns=("name", "value"), rows=rows, words=(0, 1))
    words = "Nothing is known of plan, machine, data and versions."
    return Section(title="Set-up", parts=[table] if rows else [words])
