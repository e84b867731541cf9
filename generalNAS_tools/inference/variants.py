"""Variants out of VCF files, and the two windows that a model reads for each; needs pysam.

Dimension letters: L length of a window (bp).
"""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from data_generators.genome import Genome, check_bgzip, encode, import_pysam, is_sequence
from data_generators.peaks import check_chromosomes
from data_generators.planted_motifs import Codes
from generalNAS_tools.files.atomic_files import reading

log = logging.getLogger(__name__)
_KIND = "a VCF file (plain or compressed by bgzip) or BCF file with variants"
_OUTSIDE = "not within its chromosome"


class Variant(NamedTuple):
    """One alternative allele of a line of a VCF file.

    Attributes:
        chromosome: its name.
        position: of the reference allele's first base, from 1.
        name: the column ID; "." if it has none.
        reference: as the file has it.
        alternative: as the file has it.
    """

    chromosome: str
    position: int
    name: str
    reference: str
    alternative: str


def read_variants(path: str, genome: Genome, seq_size: int) -> Iterator[Variant]:
    """Reads what can be scored, a variant per alternative allele.

    Raises:
        ValueError: the file is missing, damaged, or of another genome.
    """
    for variant in _alleles(path):
        if variant.chromosome in genome.lengths and not _obstacle(variant, genome, seq_size):
            yield variant


def check_variants(path: str, genome: Genome, seq_size: int) -> tuple[int, int]:
    """Reads all variants once and compares them with the genome.

    Returns:
        How many there are to score, and of how many of them the reference isn't the genome's.

    Raises:
        ValueError: there is none to score, a chromosome has another name, or more than half of the
            reference alleles are not what the genome has.
    """
    left_out, chromosomes = Counter[str](), Counter[str]()
    total = mismatches = 0
    for variant in _alleles(path):
        chromosomes[variant.chromosome] += 1
        reason = _obstacle(variant, genome, seq_size)
        left_out[reason] += 1
        if variant.chromosome in genome.lengths and not reason:
            total += 1
            mismatches += not matches(variant, genome)
    if not chromosomes:
        raise ValueError(f"{path}: no variant in it; expected {_KIND}")
    check_chromosomes(path, chromosomes, genome.lengths, genome.source)
    for reason, count in left_out.items():
        if reason:
            log.warning("%s: %d variants left out: %s", path, count, reason)
    wrong, compared = (count + left_out[_OUTSIDE] for count in (mismatches, total))
    if 2 * wrong > compared:
        raise ValueError(
            f"{path}: {wrong} of {compared} reference alleles are not what {genome.source} has; "
            "expected variants of this genome"
        )
    if not total:
        raise ValueError(f"{path}: no variant that can be scored in it; expected {_KIND}")
    return total, mismatches


def matches(variant: Variant, genome: Genome) -> bool:
    """Whether the genome has the reference allele where the variant is."""
    start = variant.position - 1
    found = genome.codes(variant.chromosome, start, start + len(variant.reference))
    return np.array_equal(found, encode(variant.reference, f"reference allele {variant.reference}"))


def allele_windows(variant: Variant, genome: Genome, seq_size: int) -> tuple[Codes, Codes]:
    """The windows of reference and alternative, (L,) each.

    What both alleles share at their ends but for a base belongs to the flanks. Each allele is in
    the centre of its window, and the genome around it fills the rest, so that a deletion draws in
    new bases on both sides and an insertion pushes some out on both. What the file says is the
    reference replaces what the genome has.
    """
    reference, alternative, before, after = _trim(variant)
    start = variant.position - 1 + before
    stop = variant.position - 1 + len(variant.reference) - after
    windows = []
    for allele in (reference, alternative):
        left = (seq_size - len(allele)) // 2
        right = seq_size - left - len(allele)
        windows.append(
            np.concatenate(
                [
                    genome.codes(variant.chromosome, start - left, start),
                    encode(allele, f"allele {allele}"),
                    genome.codes(variant.chromosome, stop, stop + right),
                ]
            )
        )
    return windows[0], windows[1]


def _alleles(path: str) -> Iterator[Variant]:
    """All alternative alleles of a file, without one the text "."."""
    pysam = import_pysam()
    check_bgzip(path, _KIND)
    with reading(path, _KIND):
        file = pysam.VariantFile(path)
    kind = _KIND
    with file:
        while True:
            with reading(path, kind):
                record = next(file, None)
            if record is None:
                return
            kind = f"{_KIND}, after {record.chrom}:{record.pos}"
            line = (record.chrom, record.pos, record.id or ".", record.ref)
            for alternative in record.alts or (".",):
                yield Variant(*line, alternative)


def _obstacle(variant: Variant, genome: Genome, seq_size: int) -> str:
    """Why a variant can't be scored, or nothing."""
    for kind, allele in (("reference", variant.reference), ("alternative", variant.alternative)):
        if not is_sequence(allele):
            return f"no sequence as {kind} allele (missing, symbolic or a breakend)"
    if max(len(variant.reference), len(variant.alternative)) > seq_size:
        return f"an allele longer than the model's {seq_size} bp"
    last = variant.position - 1 + len(variant.reference)
    if variant.position < 1 or last > genome.lengths.get(variant.chromosome, last):
        return _OUTSIDE
    return ""


def _trim(variant: Variant) -> tuple[str, str, int, int]:
    """Both alleles without what they share, and how much that is before and after."""
    reference, alternative = variant.reference.upper(), variant.alternative.upper()
    shortest = min(len(reference), len(alternative)) - 1
    after = min(_shared(reference[::-1], alternative[::-1]), shortest)
    before = min(_shared(reference, alternative), shortest - after)
    reference = reference[before : len(reference) - after]
    return reference, alternative[before : len(alternative) - after], before, after


def _shared(one: str, other: str) -> int:
    """How many letters two texts share at their beginning."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
