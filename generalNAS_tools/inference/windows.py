"""The windows that a model reads: of FASTA sequences, or of regions of a genome.

Dimension letters: L length of a window (bp).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from data_generators.genome import Genome, read_fasta
from data_generators.peaks import Region, read_regions
from data_generators.planted_motifs import Codes
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.runs.flags import flag, whole


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the sequences are."""

    title: ClassVar = "sequences"
    fasta: str = flag(str, "", "FASTA file of sequences")
    genome: str = flag(str, "", "instead: a genome as FASTA, plain or bgzipped")
    bed: str = flag(str, "", "its regions")
    step: int = flag(whole(0), 0, "bp between windows of longer ones; 0: side by side")

    @property
    def files(self) -> list[str]:
        """Those that are given."""
        return [path for path in (self.fasta, self.genome, self.bed) if path]


class Window(NamedTuple):
    """A window: its sequence's or chromosome's name, its start from 0, and its bases, (L,)."""

    name: str
    start: int
    codes: Codes


@contextlib.contextmanager
def open_windows(options: SourceOptions, seq_size: int) -> Iterator[Iterator[Window]]:
    """Gives the windows one by one, with a progress bar.

    A region shorter than the window is in its centre; beyond a chromosome's end the bases are
    unknown. Whatever is longer is tiled every `step` bp, the last window ending with it.

    Raises:
        ValueError: not one source is given, a file is damaged or empty, or a sequence is too short.
    """
    step = options.step or seq_size
    if bool(options.fasta) == bool(options.genome) or bool(options.genome) != bool(options.bed):
        raise ValueError("expected either --fasta, or --genome and --bed")
    with contextlib.ExitStack() as stack:
        if options.fasta:
            total = count_windows(options.fasta, seq_size, step)
            windows = fasta_windows(options.fasta, seq_size, step)
        else:
            genome = stack.enter_context(Genome(options.genome))
            regions = read_regions(options.bed, genome.lengths, genome.source)
            total = sum(len(region_starts(region, seq_size, step)) for region in regions)
            windows = region_windows(genome, regions, seq_size, step)
        yield iter(progress_bar(windows, total=total, desc="windows", unit="window"))


def count_windows(path: str, seq_size: int, step: int) -> int:
    """Number of windows of a FASTA file, all of whose sequences are checked.

    Raises:
        ValueError: one is shorter than the window, or as `read_fasta`.
    """
    total = 0
    for name, codes in read_fasta(path):
        if len(codes) < seq_size:
            raise ValueError(f"{path}: {name} has {len(codes)} bp; the model takes {seq_size} bp")
        total += len(tile(0, len(codes), seq_size, step))
    return total


def fasta_windows(path: str, seq_size: int, step: int) -> Iterator[Window]:
    """Tiles the sequences of a FASTA file."""
    for name, codes in read_fasta(path):
        for start in tile(0, len(codes), seq_size, step):
            yield Window(name, start, codes[start : start + seq_size])


def region_windows(
    genome: Genome, regions: list[Region], seq_size: int, step: int
) -> Iterator[Window]:
    """Tiles regions, in their order."""
    for region in regions:
        for start in region_starts(region, seq_size, step):
            codes = genome.codes(region.chromosome, start, start + seq_size)
            yield Window(region.chromosome, start, codes)


def region_starts(region: Region, seq_size: int, step: int) -> list[int]:
    """Starts of a region's windows."""
    spare = seq_size - (region.stop - region.start)
    return [region.start - spare // 2] if spare > 0 else tile(
        region.start, region.stop, seq_size, step
    )  # fmt: skip


def tile(start: int, stop: int, seq_size: int, step: int) -> list[int]:
    """Starts of windows every `step` bp within an interval; the last ends with it."""
    last = stop - seq_size
    return [*range(start, last, step), last]
