"""Scores variants: what each alternative allele changes for each target.

python generalNAS_tools/score_variants.py --model=... --vcf=... --genome=... --out=scores.tsv
"""

import heapq
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from data_generators.genome import Genome
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.inference.predictor import AnswerOptions, Predictor, batched
from generalNAS_tools.inference.tables import Append, check_table, open_table
from generalNAS_tools.inference.variants import (
    Variant,
    allele_windows,
    check_variants,
    matches,
    read_variants,
)
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import flag, parse_options, whole

log = logging.getLogger("score_variants")


class Scored(NamedTuple):
    """A line of the summary: a variant and the target of its largest difference."""

    chromosome: str
    position: int
    name: str
    reference: str
    alternative: str
    ref_match: bool
    target: str
    reference_probability: float
    alternative_probability: float
    difference: float
    log_odds_ratio: float


@dataclass(frozen=True, kw_only=True)
class VariantOptions:
    """Where the variants are."""

    title: ClassVar = "variants"
    vcf: str = flag(str, ..., "VCF file, plain or bgzipped, or BCF file")
    genome: str = flag(str, ..., "their genome as FASTA, plain or bgzipped")
    top: int = flag(whole(1), 1000, "variants in the summary, those of the largest effects")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    answers: AnswerOptions
    variants: VariantOptions


def main() -> None:
    """Scores all variants, writes the table and, beside it, the summary."""
    options = parse_options(Options, __doc__, average_strands=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path, out = options.variants.vcf, Path(options.answers.out)
    predictor = Predictor.open(options.answers, path, options.variants.genome)
    summary = out.with_suffix(".summary.tsv")
    check_table(summary, options.answers.model, path, options.variants.genome)
    with Genome(options.variants.genome) as genome:
        total, mismatches = check_variants(path, genome, predictor.model.seq_size)
        log.info("%d variants; %d reference alleles are not the genome's", total, mismatches)
        variants = progress_bar(
            read_variants(path, genome, predictor.model.seq_size), total=total, unit="variant"
        )
        strongest: list[Scored] = []
        with open_table(out, predictor.targets) as append, open_table(summary) as append_summary:
            for batch in batched(variants, options.answers.batch_size):
                strongest += score(batch, genome, predictor, append)
                strongest = heapq.nlargest(options.variants.top, strongest, key=effect)
            append_summary(dict(zip(Scored._fields, zip(*strongest, strict=True), strict=True)))
    log.info("wrote %s and, by the largest effect, %s", out, summary)


def score(
    batch: list[Variant], genome: Genome, predictor: Predictor, append: Append
) -> list[Scored]:
    """Scores some variants, appends them to the table and gives each one's largest difference."""
    from scipy.special import expit  # slow: not for --help

    windows = [allele_windows(variant, genome, predictor.model.seq_size) for variant in batch]
    before, after = (predictor.log_odds(np.stack(codes)) for codes in zip(*windows, strict=True))
    answers = {
        "reference_probability": expit(before),
        "alternative_probability": expit(after),
        "difference": expit(after) - expit(before),
        "log_odds_ratio": after - before,
    }
    keys = dict(zip(Variant._fields, zip(*batch, strict=True), strict=True))
    ref_match = [matches(variant, genome) for variant in batch]
    append({**keys, "ref_match": ref_match, **answers})
    largest = np.abs(answers["difference"]).argmax(1)
    chosen = np.stack([values[np.arange(len(batch)), largest] for values in answers.values()], 1)
    names = (predictor.targets[column] for column in largest)
    return [
        Scored(*variant, match, name, *values)
        for variant, match, name, values in zip(
            batch, ref_match, names, chosen.tolist(), strict=True
        )
    ]


def effect(scored: Scored) -> float:
    """The size of a variant's effect."""
    return abs(scored.difference)


if __name__ == "__main__":
    run_command(main)
