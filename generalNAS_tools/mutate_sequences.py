"""Saturation mutagenesis: what every single substitution in a sequence changes.

python generalNAS_tools/mutate_sequences.py --model=... --fasta=... --targets=... --out=effects.npz
"""

import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from numpy.typing import NDArray

from data_generators.planted_motifs import BASES
from generalNAS_tools.inference.mutagenesis import mutate
from generalNAS_tools.inference.predictor import AnswerOptions, Predictor
from generalNAS_tools.inference.tables import open_table
from generalNAS_tools.inference.windows import SourceOptions, Window, open_windows
from generalNAS_tools.pictures.mutation_map import draw_mutations
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import flag, parse_options, whole

log = logging.getLogger("mutate_sequences")


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What is drawn."""

    title: ClassVar = "pictures"
    pictures: int = flag(whole(0), 1, "windows drawn, a picture per target beside --out")
    span: int = flag(whole(1), 120, "bp drawn around the strongest place")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    answers: AnswerOptions
    source: SourceOptions
    pictures: PictureOptions


def main() -> None:
    """Mutates every window, writes the table and draws the first ones."""
    options = parse_options(Options, __doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out = Path(options.answers.out)
    if not options.answers.targets:
        raise ValueError("--targets: expected at least one")
    if out.suffix == ".tsv":
        raise ValueError(f"{out}: no table of lines; expected a file .npz, .h5 or .hdf5")
    predictor = Predictor.open(options.answers, *options.source.files)
    with (
        open_windows(options.source, predictor.model.seq_size) as windows,
        open_table(out, predictor.targets) as append,
    ):
        for number, window in enumerate(windows):
            effects, letters = mutate(window.codes, predictor), spell(window)
            append(
                {
                    "sequence": [window.name],
                    "start": [window.start],
                    "bases": [letters],
                    "effect": effects[None],
                }
            )
            if number < options.pictures.pictures:
                draw(out, number, window, effects, predictor, options.pictures.span)
    log.info("wrote the effects of all substitutions: %s", out)


def spell(window: Window) -> str:
    """The window's letters."""
    return "".join(np.array([*BASES, "N"])[window.codes])


def draw(
    out: Path,
    number: int,
    window: Window,
    effects: NDArray[np.float32],
    predictor: Predictor,
    span: int,
) -> None:
    """Draws a window's effects (T, 4, L), `span` bp around the strongest, a picture per target."""
    chosen = zip(predictor.columns, predictor.targets, effects, strict=True)
    for column, target, values in chosen:
        strongest = int(np.abs(values).sum(0).argmax())
        first = max(min(strongest - span // 2, len(window.codes) - span), 0)
        name = f"{_cut(out.stem, 180)}-{number}-{column}-{window.name}-{window.start}-{target}"
        name = _cut(re.sub(r"[^\w.-]+", "_", name), 200)
        draw_mutations(
            values[:, first : first + span],
            spell(window)[first : first + span],
            out.with_name(f"{name}.png"),
            title=f"{target}: {window.name}",
            start=window.start + first,
        )


def _cut(text: str, size: int) -> str:
    """A text's first bytes, as file systems count them."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")


if __name__ == "__main__":
    run_command(main)
