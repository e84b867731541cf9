"""Which windows of a genome go into a bundle, with what labels: DeepSEA's protocol.

The genome is cut into bins; a target labels a bin where its peaks cover more than a share of it; a
window is centred on each bin that has a label. Of every chromosome only numbers and packed labels
are kept, so a human genome with hundreds of targets takes little memory.

Dimension letters: L length of a window (bp); n windows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_generators.bundle_files import Block
from data_generators.genome import Genome, reverse_complement
from data_generators.peaks import NOWHERE, Regions, covered_before
from data_generators.planted_motifs import BASES, UNKNOWN, Codes
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.runs.flags import RATE, SEED, flag, whole

_BLOCK = 2048
_GC_CLASSES = 50
"""Classes of GC content within which negatives are matched, 2 % wide."""


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """What makes a window of a genome."""

    title: ClassVar = "windows"
    window: int = flag(whole(1), 1000, "length of a sequence in bp")
    bin: int = flag(whole(1), 200, "length of its centre that is labelled, in bp")
    min_overlap: float = flag(RATE, 0.5, "peaks cover more than this share of a labelled bin")
    max_unknown: float = flag(RATE, 0.1, "largest share of unknown bases (N)")
    negatives: str = flag(
        str,
        "none",
        "matched: add windows without peaks, by GC content",
        choices=["none", "matched"],
    )
    negatives_per_positive: int = flag(whole(1), 1, "how many of them per labelled window")
    seed: int = flag(SEED, 0, "the same seed makes the same bundle")

    @property
    def ratio(self) -> int:
        """Unlabelled windows drawn per labelled one."""
        return self.negatives_per_positive if self.negatives == "matched" else 0


class Windows(NamedTuple):
    """The windows of a chromosome, in its order.

    Attributes:
        chromosome: its name.
        starts: of the windows, (n,).
        labels: a bit per target, (n, bytes).
        counts: windows that were dropped or could not be matched, by reason.
    """

    chromosome: str
    starts: NDArray[np.int64]
    labels: NDArray[np.uint8]
    counts: Counter[str]


def choose_windows(
    genome: Genome,
    chromosome: str,
    targets: Sequence[Regions],
    excluded: Regions,
    options: WindowOptions,
) -> Windows:
    """Labels the bins of a chromosome and chooses its windows.

    A negative touches no peak in its bin and has the GC content of a labelled window of the
    chromosome, in steps of 2 %.
    """
    length, size, window = genome.lengths[chromosome], options.bin, options.window
    edges = np.arange(length // size + 1) * size
    labels, touched = _label_bins(chromosome, targets, edges, options)
    labelled: NDArray[np.bool_] = np.asarray(labels.any(1))
    starts = edges[:-1] - (window - size) // 2
    counts: Counter[str] = Counter()
    wanted = labelled | ~touched if options.ratio else labelled.copy()
    blocked = excluded.get(chromosome, NOWHERE)
    hit = covered_before(blocked, starts + window) > covered_before(blocked, starts)
    outside = (starts < 0) | (starts + window > length)
    for reason, dropped in (("dropped: over an end", outside), ("dropped: excluded", hit)):
        counts[reason] = int((labelled & wanted & dropped).sum())
        wanted &= ~dropped
    bins = np.flatnonzero(wanted)
    if not labelled[bins].any():
        return Windows(chromosome, starts[:0], labels[:0], counts)
    unknown, gc_class = _composition(genome.codes(chromosome), starts[bins], window)
    known = unknown / window <= options.max_unknown
    counts["dropped: too many unknown bases"] = int((labelled[bins] & ~known).sum())
    bins, gc_class = bins[known], gc_class[known]
    kept = labelled[bins]
    if options.ratio:
        rng = np.random.default_rng([options.seed, *chromosome.encode()])
        drawn = _match(rng, gc_class, kept, options.ratio)
        counts["missing as negatives: no more of this GC content"] = int(
            options.ratio * kept.sum() - drawn.sum()
        )
        kept |= drawn
    return Windows(chromosome, starts[bins[kept]], labels[bins[kept]], counts)


def read_windows(
    genome: Genome,
    chosen: Sequence[Windows],
    options: WindowOptions,
    num_targets: int,
    *,
    both_strands: bool,
    name: str,
) -> Iterator[Block]:
    """Reads the chosen windows; with both strands, all of them first on one, then on the other."""
    total = sum(len(windows.starts) for windows in chosen) * (1 + both_strands)
    with progress_bar(total=total, desc=f"writing {name}", unit="window") as bar:
        for backward in (False, True)[: 1 + both_strands]:
            for windows in chosen:
                codes = genome.codes(windows.chromosome) if len(windows.starts) else None
                for first in range(0, len(windows.starts), _BLOCK):
                    part = slice(first, first + _BLOCK)
                    block = _views(codes, options.window)[windows.starts[part]]
                    bits = np.unpackbits(windows.labels[part], axis=1, count=num_targets)
                    yield Block(reverse_complement(block) if backward else block, bits.view(bool))
                    bar.update(len(block))


def _label_bins(
    chromosome: str, targets: Sequence[Regions], edges: NDArray[np.int64], options: WindowOptions
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Labels of bins, packed, (bins, bytes), and which bins any peak touches, (bins,)."""
    labels = np.zeros((len(edges) - 1, -(-len(targets) // 8)), np.uint8)
    touched = np.zeros(len(edges) - 1, bool)
    for target, regions in enumerate(targets):
        if chromosome in regions:
            share = np.diff(covered_before(regions[chromosome], edges)) / options.bin
            labels[share > options.min_overlap, target // 8] |= 128 >> target % 8
            touched |= share > 0
    return labels, touched


def _composition(
    codes: Codes, starts: NDArray[np.int64], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unknown bases of windows, and their class of GC content among the known ones, (n,) each."""
    unknown, strong = np.zeros((2, len(starts)), np.int64)
    for first in range(0, len(starts), _BLOCK):
        part = slice(first, first + _BLOCK)
        block = _views(codes, window)[starts[part]]
        unknown[part] = (block == UNKNOWN).sum(1)
        strong[part] = ((block == BASES.index("G")) | (block == BASES.index("C"))).sum(1)
    return unknown, _GC_CLASSES * strong // np.maximum(window - unknown, 1)


def _match(
    rng: np.random.Generator, gc_class: NDArray[np.int64], labelled: NDArray[np.bool_], ratio: int
) -> NDArray[np.bool_]:
    """Draws `ratio` unlabelled windows per labelled one of the same class, or all there are."""
    drawn = np.zeros(len(labelled), bool)
    for number, count in enumerate(np.bincount(gc_class[labelled])):
        pool = np.flatnonzero((gc_class == number) & ~labelled)
        drawn[rng.choice(pool, min(ratio * int(count), len(pool)), replace=False)] = True
    return drawn


def _views(codes: Codes | None, window: int) -> Codes:
    """All windows of a chromosome, as views, (length - L + 1, L)."""
    return np.lib.stride_tricks.sliding_window_view(codes, window)  # type: ignore[arg-type]
