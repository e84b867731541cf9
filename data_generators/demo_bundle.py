"""A synthetic bundle in DeepSEA's format: random DNA with planted transcription-factor motifs.

Three in four targets ask whether a motif was planted. Every fourth asks for a *spacing grammar*:
two motifs in one order at a short distance. Most other sequences with these two motifs have
them in the wrong order or too far apart, so that finding the motifs is not enough. The consensus
sequences approximate those of well-known human factors, but nothing else here is biology.

Dimension letters: L sequence length (bp); n sequences of a block.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from data_generators.planted_motifs import (
    BASES,
    MOTIFS,
    NEAR,
    PAIRS,
    UNKNOWN,
    Codes,
    draw_sequences,
)
from generalNAS_tools.files.atomic_files import atomic_write
from generalNAS_tools.files.progress import progress_bar

MIN_SEQ_SIZE = 100
_LABEL_NOISE = 0.01
_BLOCK = 2048
_V5_BYTES = 2**31 - 1


class DemoOptions(NamedTuple):
    """What to draw.

    Attributes:
        num_train: sequences of the training set; `num_valid` and `num_test` likewise.
        seq_size: length of every sequence, in bp.
        num_targets: number of labels of every sequence.
        seed: the same seed draws the same bundle.
        shuffle_labels: permute the labels across sequences, so that nothing can be learned.
    """

    num_train: int = 12_000
    num_valid: int = 2_000
    num_test: int = 2_000
    seq_size: int = 200
    num_targets: int = 16
    seed: int = 0
    shuffle_labels: bool = False


class Block(NamedTuple):
    """Some sequences: bases as codes, (n, L), and labels, (n, targets) bool."""

    codes: Codes
    labels: NDArray[np.bool_]


def write_demo_bundle(
    directory: str | Path, options: DemoOptions, *, overwrite: bool = False
) -> None:
    """Writes train.mat (v7.3), valid.mat and test.mat (v5), and targets.txt.

    Raises:
        ValueError: a file exists and may not be overwritten or can't be written, or the sequences
            are too short.
    """
    directory = Path(directory)
    if options.seq_size < MIN_SEQ_SIZE:
        raise ValueError(f"--seq_size {options.seq_size}: a demo needs {MIN_SEQ_SIZE} bp or more")
    for name in ("num_valid", "num_test"):
        if getattr(options, name) * len(BASES) * options.seq_size > _V5_BYTES:
            raise ValueError(
                f"--{name} {getattr(options, name)} with --seq_size {options.seq_size}: MATLAB v5 "
                f"holds arrays of {_V5_BYTES:,} bytes at most"
            )
    for name in ("train.mat", "valid.mat", "test.mat", "targets.txt"):
        if (directory / name).exists() and not overwrite:
            raise ValueError(f"{directory / name} exists; replace it with --overwrite")
    _write_v73(directory / "train.mat", "train", options)
    _write_v5(directory / "valid.mat", "valid", options)
    _write_v5(directory / "test.mat", "test", options)
    with atomic_write(directory / "targets.txt") as file:
        file.write("".join(f"{line}\n" for line in describe_targets(options.num_targets)).encode())


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
    number = ("train", "valid", "test").index(split)
    total = (options.num_train, options.num_valid, options.num_test)[number]
    rng = np.random.default_rng((options.seed, number))
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


def _one_hot(codes: Codes) -> NDArray[np.uint8]:
    """(n, L) → (n, 4, L)."""
    return np.eye(UNKNOWN + 1, len(BASES), dtype=np.uint8)[codes].transpose(0, 2, 1)


def _write_v73(path: Path, split: str, options: DemoOptions) -> None:
    """Writes HDF5 with reversed axes behind MATLAB's header of 512 bytes, block by block."""
    chunk = min(256, options.num_train)
    shapes = {
        f"{split}xdata": (options.seq_size, len(BASES), options.num_train),
        f"{split}data": (options.num_targets, options.num_train),
    }
    with atomic_write(path) as file:
        # atomic_write has locked the file, HDF5 can't do it once more.
        with h5py.File(file.name, "w", userblock_size=512, locking=False) as bundle:
            for name, shape in shapes.items():
                chunks = (*shape[:-1], chunk)
                bundle.create_dataset(name, shape, "u1", chunks=chunks, compression="gzip")
                bundle[name].attrs["MATLAB_class"] = np.bytes_("uint8")
            start = 0
            for codes, labels in draw_blocks(split, options):
                stop = start + len(codes)
                bundle[f"{split}xdata"][:, :, start:stop] = _one_hot(codes).transpose(2, 1, 0)
                bundle[f"{split}data"][:, start:stop] = labels.T
                start = stop
        text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by genomeNAS HDF5 schema 1.00 ."
        file.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


def _write_v5(path: Path, split: str, options: DemoOptions) -> None:
    """Writes a v5 file; it is held in memory as a whole."""
    from scipy.io import savemat  # slow: not for --help

    blocks = list(draw_blocks(split, options))
    sequences = np.concatenate([_one_hot(block.codes) for block in blocks])
    labels = np.concatenate([block.labels for block in blocks]).view(np.uint8)
    variables = {f"{split}xdata": sequences, f"{split}data": labels}
    with atomic_write(path) as file:
        savemat(file, variables, do_compression=True)
