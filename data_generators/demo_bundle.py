"""A synthetic bundle in DeepSEA's format: random DNA with planted transcription-factor motifs.

Three in four targets ask whether a motif was planted. Every fourth asks for a *spacing grammar*:
two motifs in one order at a short distance. Most other sequences with these two motifs have
them in the wrong order or too far apart, so that finding the motifs is not enough. The consensus
sequences approximate those of well-known human factors, but nothing else here is biology.

Dimension letters: L sequence length (bp).
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_generators.bundle_files import SPLITS, Block, Split, check_folder, write_bundle
from data_generators.planted_motifs import MOTIFS, NEAR, PAIRS, draw_sequences
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.runs.flags import SEED, flag, switch, whole

MAX_SEQUENCES = 10_000_000
"""Twice as many as DeepSEA has."""
MIN_SEQ_SIZE = 100
_LABEL_NOISE = 0.01
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What is drawn."""

    title: ClassVar = None
    num_train: int = flag(whole(1, MAX_SEQUENCES), 12_000, "training sequences")
    num_valid: int = flag(whole(1, MAX_SEQUENCES), 2_000, "validation sequences")
    num_test: int = flag(whole(1, MAX_SEQUENCES), 2_000, "test sequences")
    seq_size: int = flag(whole(1, 100_000), 200, "length of a sequence in bp")
    num_targets: int = flag(whole(1, 10_000), 16, "labels per sequence")
    seed: int = flag(SEED, 0, "the same seed writes the same data")
    shuffle_labels: bool = switch(
        False, "permute the labels across sequences: a control in which nothing can be learned"
    )

    @property
    def sizes(self) -> dict[str, int]:
        """Sequences by split."""
        return dict(zip(SPLITS, (self.num_train, self.num_valid, self.num_test), strict=True))


def write_demo_bundle(
    directory: str | Path, options: DemoOptions, *, overwrite: bool = False
) -> None:
    """Writes train.mat (v7.3), valid.mat and test.mat (v5), and targets.txt.

    Raises:
        ValueError: a file exists and may not be overwritten or can't be written, or the sequences
            are too short.
    """
    if options.seq_size < MIN_SEQ_SIZE:
        raise ValueError(f"--seq_size {options.seq_size}: a demo needs {MIN_SEQ_SIZE} bp or more")
    check_folder(directory, overwrite=overwrite)
    splits = {
        name: Split(size, functools.partial(draw_blocks, name, options))
        for name, size in options.sizes.items()
    }
    targets = describe_targets(options.num_targets)
    write_bundle(directory, splits, seq_size=options.seq_size, targets=targets)


def describe_targets(num_targets: int) -> list[str]:
    """One line per target: what makes it 1."""
    lines = []
    for target, event in enumerate(_event_of_target(num_targets)):
        rule = f"{(*MOTIFS, *PAIRS)[event]}"
        if event >= len(MOTIFS):
            rule += f" at {NEAR[0]}-{NEAR[1]} bp"
        lines.append(f"{target}\t{rule}, on either strand")
    return lines


def draw_blocks(split: str, options: DemoOptions) -> Iterator[Block]:
    """Draws the sequences of a split, a few thousand at a time."""
    total = options.sizes[split]
    rng = np.random.default_rng((options.seed, SPLITS.index(split)))
    event_of_target = _event_of_target(options.num_targets)
    with progress_bar(total=total, desc=f"drawing {split}", unit="seq") as bar:
        for start in range(0, total, _BLOCK):
            size = min(_BLOCK, total - start)
            codes, present = draw_sequences(rng, size, options.seq_size)
            labels = present[:, event_of_target]
            labels ^= rng.random(labels.shape, np.float32) < _LABEL_NOISE
            if options.shuffle_labels:
                labels = labels[rng.permutation(size)]
            yield Block(codes, labels)
            bar.update(size)


def _event_of_target(num_targets: int) -> list[int]:
    """Every fourth target has a pair, the others a motif; both start over when all are used."""
    return [
        len(MOTIFS) + target // 4 % len(PAIRS)
        if target % 4 == 3
        else (target - target // 4) % len(MOTIFS)
        for target in range(num_targets)
    ]
