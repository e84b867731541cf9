"""Scores variants: what each alternative allele changes for each target.

python generalNAS_tools/score_variants.py --model=... --vcf=... --genome=... --out=scores.tsv
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from scipy.special import expit

from data_generators.genome import Genome
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.inference.predictor import AnswerOptions, Predictor, batched
from generalNAS_tools.inference.tables import Append, open_table
from generalNAS_tools.inference.variants import (
    Variant,
    allele_windows,
    check_variants,
    matches,
    read_variants,
)
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import flag, parse_options

log = logging.getLogger("score_variants")


@dataclass(frozen=True, kw_only=True)
class VariantOptions:
    """Where the variants are."""

    title: ClassVar = "variants"
    vcf: str = flag(str, ..., "VCF file, plain or bgzipped, or BCF file")
    genome: str = flag(str, ..., "their genome as FASTA, plain or bgzipped")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    answers: AnswerOptions
    variants: VariantOptions


def main() -> None:
    """Scores all variants, writes the table and, beside it, the summary."""
    options = parse_options(Options, __doc__, average_strands=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    predictor = Predictor.open(options.answers)
    path, out = options.variants.vcf, Path(options.answers.out)
    summary = out.with_suffix(".summary.tsv")
    with Genome(options.variants.genome) as genome:
        total, mismatches = check_variants(path, genome, predictor.seq_size)
        log.info("%d variants; %d reference alleles are not the genome's", total, mismatches)
        variants = progress_bar(
            read_variants(path, genome, predictor.seq_size), total=total, unit="variant"
        )
        with open_table(out, predictor.targets) as append, open_table(summary) as append_summary:
            strongest = []
            for batch in batched(variants, predictor.batch_size):
                strongest.append(score(batch, genome, predictor, append))
            columns = {name: np.concatenate([s[name] for s in strongest]) for name in strongest[0]}
            order = np.argsort(-np.abs(columns["difference"]), kind="stable")
            append_summary({name: values[order] for name, values in columns.items()})
    log.info("wrote %s and, by the largest effect, %s", out, summary)


def score(
    batch: list[Variant], genome: Genome, predictor: Predictor, append: Append
) -> dict[str, Any]:
    """Scores some variants, appends them to the table and gives each one's largest difference."""
    windows = [allele_windows(variant, genome, predictor.seq_size) for variant in batch]
    before, after = (predictor.log_odds(np.stack(codes)) for codes in zip(*windows, strict=True))
    answers = {
        "reference_probability": expit(before),
        "alternative_probability": expit(after),
        "difference": expit(after) - expit(before),
        "log_odds_ratio": after - before,
    }
    keys = dict(zip(Variant._fields, map(np.array, zip(*batch, strict=True)), strict=True))
    keys["ref_match"] = np.array([matches(variant, genome) for variant in batch])
    append({**keys, **answers})
    largest = np.abs(answers["difference"]).argmax(1)
    rows = np.arange(len(batch))
    chosen = {name: values[rows, largest] for name, values in answers.items()}
    return {**keys, "target": np.array(predictor.targets)[largest], **chosen}


if __name__ == "__main__":
    run_command(main)
