"""Predicts the targets of sequences: a FASTA file, or a genome's regions.

python generalNAS_tools/predict_sequences.py --model=... --fasta=... --out=predictions.tsv
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from generalNAS_tools.inference.predictor import AnswerOptions, Predictor, batched
from generalNAS_tools.inference.tables import open_table
from generalNAS_tools.inference.windows import SourceOptions, open_windows
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import parse_options

log = logging.getLogger("predict_sequences")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    answers: AnswerOptions
    source: SourceOptions


def main() -> None:
    """Predicts every window and writes the table."""
    options = parse_options(Options, __doc__)
    from scipy.special import expit  # slow: not for --help

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    predictor, out = Predictor.open(options.answers, *options.source.files), options.answers.out
    count = 0
    with (
        open_windows(options.source, predictor.model.seq_size) as windows,
        open_table(out, predictor.targets) as append,
    ):
        for batch in batched(windows, options.answers.batch_size):
            names, starts, codes = zip(*batch, strict=True)
            probabilities = expit(predictor.log_odds(np.stack(codes))).astype(np.float32)
            ends = np.add(starts, predictor.model.seq_size)
            append({"sequence": names, "start": starts, "end": ends, "probability": probabilities})
            count += len(batch)
    log.info("predicted %d windows × %d targets: %s", count, len(predictor.targets), out)


if __name__ == "__main__":
    run_command(main)
