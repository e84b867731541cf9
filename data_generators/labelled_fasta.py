"""Bundles out of FASTA files: positives and negatives, or sequences with a table of labels."""

import functools
import hashlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_generators.bundle_files import SPLITS, Block, BundleOptions, Split
from data_generators.genome import read_fasta, reverse_complement
from data_generators.peaks import read_lines
from data_generators.planted_motifs import Codes

_BLOCK = 2048


class LabelledFasta(NamedTuple):
    """What was found: the splits, the length of every sequence (bp), and the targets' names."""

    splits: dict[str, Split]
    seq_size: int
    targets: list[str]
    positives: NDArray[np.int64]


def open_fasta(options: BundleOptions, seed: int) -> LabelledFasta:
    """Reads the sequences once, to count and check them.

    A hash of seed and sequence decides its split, so that equal ones, also on the other strand,
    never lie in two.

    Raises:
        ValueError: a file is damaged, lengths differ, a label is missing, or a split is empty.
    """
    if (len(options.fasta), bool(options.labels)) not in {(2, False), (1, True)}:
        raise ValueError("--fasta: expected positives and negatives, or one file with --labels")
    if options.valid_share + options.test_share >= 1:
        raise ValueError("--valid_share and --test_share leave nothing to train on")
    targets, table = _read_labels(options.labels) if options.labels else (["positive"], {})
    sizes, seq_size = dict.fromkeys(SPLITS, 0), 0
    positives = np.zeros((len(SPLITS), len(targets)), np.int64)
    for path, name, codes, labels in _records(options, table):
        seq_size = seq_size or len(codes)
        if len(codes) != seq_size or not seq_size:
            raise ValueError(f"{path}: {name} has {len(codes)} bp; the first has {seq_size}")
        split = _split_of(codes, options, seed)
        sizes[split] += 1
        positives[SPLITS.index(split)] += labels
    for split, size in sizes.items():
        if not size:
            raise ValueError(f"{options.fasta[0]}: no sequence is left for {split}.mat")
    strands = 1 + options.double_strands
    splits = {
        name: Split(strands * size, functools.partial(_read_split, name, options, table, seed=seed))
        for name, size in sizes.items()
    }
    return LabelledFasta(splits, seq_size, targets, positives * strands)


def _records(
    options: BundleOptions, table: dict[str, NDArray[np.bool_]]
) -> Iterator[tuple[str, str, Codes, NDArray[np.bool_]]]:
    """File, name, bases and labels of every sequence."""
    seen = set()
    for number, path in enumerate(options.fasta):
        for name, codes in read_fasta(path):
            labels = table.get(name) if options.labels else np.array([number == 0])
            if labels is None or (options.labels and name in seen):
                reason = "twice in it" if name in seen else f"not in {options.labels}"
                raise ValueError(f"{path}: sequence {name} is {reason}")
            if options.labels:
                seen.add(name)
            yield path, name, codes, labels


def _read_split(
    split: str, options: BundleOptions, table: dict[str, NDArray[np.bool_]], *, seed: int
) -> Iterator[Block]:
    for backward in (False, True)[: 1 + options.double_strands]:
        own = (
            (reverse_complement(codes) if backward else codes, labels)
            for _, _, codes, labels in _records(options, table)
            if _split_of(codes, options, seed) == split
        )
        while held := list(itertools.islice(own, _BLOCK)):
            yield Block(*map(np.stack, zip(*held, strict=True)))


def _split_of(codes: Codes, options: BundleOptions, seed: int) -> str:
    strand = min(codes.tobytes(), reverse_complement(codes).tobytes())
    digest = hashlib.sha256(f"{seed}:".encode() + strand).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < options.test_share:
        return "test"
    return "valid" if place < options.test_share + options.valid_share else "train"


def _read_labels(path: str) -> tuple[list[str], dict[str, NDArray[np.bool_]]]:
    """Names of the targets, and labels by sequence, of a table with a header."""
    lines = read_lines(path, "a table of labels", ())
    rows = [line.split("\t") for line in lines]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise ValueError(
            f"{path}: begins with {''.join(lines[:1])!r}; expected a header (name, targets) and "
            "rows, tab-separated"
        )
    targets, labels = rows[0][1:], {}
    for target in targets:
        if not target.strip() or targets.count(target) > 1:
            raise ValueError(f"{path}: target {target!r} in its header; expected names, each once")
    for name, *values in rows[1:]:
        if len(values) != len(targets) or not set(values) <= {"0", "1"}:
            raise ValueError(f"{path}: row {name}; expected {len(targets)} labels, 0 or 1")
        if name in labels:
            raise ValueError(f"{path}: two rows for {name}")
        labels[name] = np.array(values) == "1"
    return targets, labels
