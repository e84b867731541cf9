"""Peaks out of BED files, and how much of a genome's bins they cover.

By numpy, as no interval library makes it shorter: the number of covered bases left of a position
is piecewise linear in it, so one `np.interp` gives the coverage of all bins, exactly.
"""

import gzip
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.files.atomic_files import check_file, reading

log = logging.getLogger(__name__)

Positions = NDArray[np.integer]
_KIND = "a BED file (chromosome, start, end; 0-based, the end excluded)"
_NOT_BED = ("#", "track ", "browser ", "track\t", "browser\t")
"""How the lines of a BED file begin that are no regions."""


class Intervals(NamedTuple):
    """Sorted intervals that neither overlap nor touch: starts and (excluded) stops, (n,)."""

    starts: Positions
    stops: Positions


Regions = dict[str, Intervals]
"""Intervals by chromosome."""
NOWHERE = Intervals(np.zeros(0, np.uint32), np.zeros(0, np.uint32))


class Region(NamedTuple):
    """A line of a BED file: start from 0, the stop excluded."""

    chromosome: str
    start: int
    stop: int


def covered_before(intervals: Intervals, positions: Positions) -> NDArray[np.float64]:
    """How many bases left of each position are covered (whole numbers)."""
    if not len(intervals.starts):
        return np.zeros(len(positions))
    ends = np.stack(intervals, axis=1).astype(np.int64)
    lengths = np.stack([np.zeros(len(ends), np.int64), ends[:, 1] - ends[:, 0]], axis=1)
    return np.interp(positions, ends.ravel(), lengths.ravel().cumsum())


def merge(starts: Positions, stops: Positions) -> Intervals:
    """Sorts intervals and joins those that overlap or touch."""
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    gaps = np.flatnonzero(starts[1:] > reach[:-1])
    first, last = np.append(0, gaps + 1), np.append(gaps, len(reach) - 1)
    return Intervals(starts[first].astype(np.uint32), reach[last].astype(np.uint32))


def name_targets(peaks: tuple[str, ...], table: str) -> list[tuple[str, str]]:
    """Targets and their peak files: named in a table (name, tab, file), or by the files' names.

    Files of a table are looked for beside it; files of one name make one target.

    Raises:
        ValueError: none or both are given, the table is damaged, or two files have one name.
    """
    if bool(peaks) == bool(table):
        raise ValueError("expected either --peaks or --peaks_table")
    if not table:
        names = [Path(path).name.removesuffix(".gz") for path in peaks]
        names = [name.rpartition(".")[0] or name for name in names]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"--peaks: two files are called {name}; name them in --peaks_table"
                )
        return list(zip(names, peaks, strict=True))
    lines = read_lines(table, "a table of names and peak files", ("#",))
    rows = [line.split("\t") for line in lines]
    for row in rows:
        if len(row) != 2 or not all(row):
            raise ValueError(f"{table}: {row}; expected a name, a tab and a peak file")
    if not rows:
        raise ValueError(f"{table}: no peak file in it")
    return [(name, str(Path(table).parent / path)) for name, path in rows]


def read_lines(path: str, kind: str, skipped: tuple[str, ...] = _NOT_BED) -> list[str]:
    """Lines of a text file, perhaps gzipped, without empty ones and those that begin as `skipped`.

    Raises:
        ValueError: it can't be read.
    """
    check_file(path, kind)
    with reading(path, kind):
        data = Path(path).read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    lines = text.removeprefix("\ufeff").split("\n")
    return [
        line for raw in lines if (line := raw.rstrip("\r")).strip() and not line.startswith(skipped)
    ]


def read_bed(path: str, lengths: Mapping[str, int], genome: str) -> Regions:
    """Reads regions, joins those that overlap or touch, and says when they are unsorted.

    Raises:
        ValueError: as `read_regions`.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for chromosome, start, stop in read_regions(path, lengths, genome):
        found.setdefault(chromosome, []).append((start, stop))
    ends = {chromosome: np.array(pairs).T for chromosome, pairs in found.items()}
    if any((np.diff(starts) < 0).any() for starts, _ in ends.values()):
        log.info("%s: unsorted; sorted in memory", path)
    return {chromosome: merge(*pair) for chromosome, pair in ends.items()}


def read_regions(path: str, lengths: Mapping[str, int], genome: str) -> list[Region]:
    """Reads regions in the file's order; those on chromosomes that the genome lacks are left out.

    Args:
        path: the file.
        lengths: of the genome's chromosomes, by name.
        genome: its file, for messages.

    Raises:
        ValueError: a line is no region of this genome, or there is none.
    """
    regions = []
    for line in read_lines(path, _KIND):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise ValueError(f"{path}: line {line[:80]!r}; expected {_KIND}")
        regions.append(Region(fields[0], int(fields[1]), int(fields[2])))
    if not regions:
        raise ValueError(f"{path}: no region in it; expected {_KIND}")
    check_chromosomes(path, Counter(region.chromosome for region in regions), lengths, genome)
    regions = [region for region in regions if region.chromosome in lengths]
    for region in regions:
        _check_ends(path, region, lengths[region.chromosome], genome)
    return regions


def check_chromosomes(
    path: str, found: Mapping[str, int], lengths: Mapping[str, int], genome: str
) -> None:
    """Checks a file's chromosomes, with the number of its lines on each, against the genome's.

    Raises:
        ValueError: one has another name in the genome, or the genome has none of them.
    """
    unknown = [name for name in found if name not in lengths]
    for name in unknown:
        twin = name[3:] if name.startswith("chr") else f"chr{name}"
        if twin in lengths:
            raise ValueError(f"{path}: chromosome {name}, but {genome} calls it {twin}; rename one")
    if len(unknown) == len(found):
        held = ", ".join(list(lengths)[:5])
        raise ValueError(
            f"{path}: chromosome {unknown[0]} is not in {genome}, which has {held} ..."
        )
    if unknown:
        count = sum(found[name] for name in unknown)
        log.warning("%s: %d lines left out, on %s, not in the genome", path, count, unknown[0])


def _check_ends(path: str, region: Region, length: int, genome: str) -> None:
    name, start, stop = region
    reason = ""
    if start == stop:
        reason = "has no length: is the file 1-based? BED starts count from 0"
    elif start > stop:
        reason = "ends before it starts"
    elif stop > length:
        reason = f"ends behind the {length:,} bp in {genome}: another genome, or 1-based?"
    if reason:
        raise ValueError(f"{path}: region {name}:{start}-{stop} {reason}")
