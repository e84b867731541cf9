"""The splits of a DeepSEA bundle as batches of one-hot DNA and labels.

Dimension letters: B batch, L sequence length (bp).
"""

import functools
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding

from generalNAS_tools.data.cache_header import CHANNELS, HEADER_BYTES
from generalNAS_tools.data.packed_cache import packed_cache
from generalNAS_tools.data.target_names import check_names, target_names

_COPY_BYTES, _CHECK_BATCH = 64 << 20, 1024
_SAMPLE = 1000
"""Records whose bits go into the fingerprint."""


class Batch(NamedTuple):
    """A batch on its device.

    Attributes:
        x: one-hot DNA, channels A, G, C, T, (B, 4, L) float32.
        labels: zeros and ones, (B, targets) float32.
        share: part of the whole batch that this is; the other ranks have the rest.
    """

    x: Tensor
    labels: Tensor
    share: float = 1.0


class PackedSplit:
    """One split of a bundle, read from its packed cache.

    Attributes:
        path: the MATLAB file it comes from.
        num_sequences: number of sequences.
        seq_size: length of every sequence, in bp.
        num_targets: number of labels of every sequence.
        fingerprint: short text that tells this data from other data in a run's configuration.
    """

    def __init__(
        self, path: Path, split: str, cache_dir: str | os.PathLike[str] | None = None
    ) -> None:
        cache = packed_cache(path, split, cache_dir=cache_dir)
        layout = cache.layout
        self.path = path
        self.num_sequences, self.seq_size, self.num_targets = layout
        shape = (layout.num_sequences, layout.record_bytes)
        self._records = np.memmap(cache.path, np.uint8, "r", offset=HEADER_BYTES, shape=shape)
        self._sequence_bytes = layout.sequence_bytes
        self._resident: Tensor | None = None
        sample = self._records[:: max(1, self.num_sequences // _SAMPLE)]
        self.fingerprint = (
            f"{self.num_sequences} sequences of {self.seq_size} bp, {self.num_targets} targets, "
            f"checksum {zlib.crc32(sample.tobytes()):08x} of every "
            f"{max(1, self.num_sequences // _SAMPLE)}th record"
        )

    def to_device(self, device: torch.device) -> None:
        """Keeps the packed records on a GPU if they take at most half of its free memory."""
        if device.type != "cuda" or 2 * self._records.nbytes > torch.cuda.mem_get_info(device)[0]:
            return
        resident = torch.empty(self._records.shape, dtype=torch.uint8, device=device)
        step = _COPY_BYTES // self._records.shape[1] + 1
        for start in range(0, self.num_sequences, step):
            rows = slice(start, start + step)
            resident[rows] = torch.from_numpy(np.array(self._records[rows])).to(device)
        self._resident = resident

    def batch(self, indices: Tensor, device: torch.device) -> Batch:
        """Assembles a batch; the bits become floats on the device.

        Args:
            indices: numbers of the sequences, (B,) int64 on the CPU.
            device: where the batch goes.
        """
        if self._resident is not None and device.type == self._resident.device.type:
            records = self._resident[indices.to(self._resident.device, non_blocking=True)]
        else:
            records = torch.from_numpy(np.take(self._records, indices.numpy(), axis=0))
        return self._unpack(records.to(device))

    def all_labels(self) -> NDArray[np.bool_]:
        """The labels of all sequences, (N, targets)."""
        packed = self._records[:, self._sequence_bytes :]
        return np.unpackbits(packed, axis=1, count=self.num_targets).view(np.bool_)

    def _unpack(self, records: Tensor) -> Batch:
        table = _bits_of_byte(records.device)
        x = embedding(records[:, : self._sequence_bytes].int(), table).flatten(1)
        labels = embedding(records[:, self._sequence_bytes :].int(), table).flatten(1)
        return Batch(
            x[:, : CHANNELS * self.seq_size].contiguous().view(-1, CHANNELS, self.seq_size),
            labels[:, : self.num_targets].contiguous(),
        )


class Splits(NamedTuple):
    """What training needs of a bundle; alike in length and number of targets."""

    train: PackedSplit
    valid: PackedSplit


def open_split(
    path: str | os.PathLike[str], split: str, *, cache_dir: str | os.PathLike[str] | None = None
) -> PackedSplit:
    """Opens one split, packing it first where its cache is missing or out of date.

    Args:
        path: a MATLAB file, v5 or v7.3.
        split: "train", "valid" or "test"; the variables are <split>xdata and <split>data.
        cache_dir: folder for the cache; None: the file's own folder.

    Raises:
        ValueError: the file is missing, damaged or without the variables, or the cache can't be
            written.
    """
    return PackedSplit(Path(path), split, cache_dir)


def load_splits(
    train: str | os.PathLike[str],
    valid: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    seq_size: int | None = None,
) -> Splits:
    """Opens the splits that training needs and checks that they belong together.

    Raises:
        ValueError: as `open_split` and `check_alike`, or the length is not `seq_size`.
    """
    first = open_split(train, "train", cache_dir=cache_dir)
    if seq_size is not None and first.seq_size != seq_size:
        raise ValueError(
            f"--seq_size {seq_size}: {first.path} holds sequences of {first.seq_size} bp"
        )
    other = open_split(valid, "valid", cache_dir=cache_dir)
    check_alike(first, other)
    return Splits(first, other)


def check_alike(first: PackedSplit, other: PackedSplit) -> None:
    """Checks that two splits belong together.

    Raises:
        ValueError: their lengths or targets differ.
    """
    if other.seq_size != first.seq_size:
        raise ValueError(
            f"{other.path} holds sequences of {other.seq_size} bp, but {first.path} of "
            f"{first.seq_size} bp; expected equal lengths"
        )
    if other.num_targets != first.num_targets:
        raise ValueError(
            f"{other.path} holds {other.num_targets} targets, but {first.path} "
            f"{first.num_targets}; expected equal numbers"
        )
    found, expected = (target_names(s.path, s.num_targets).get("targets") for s in (other, first))
    check_names(found, expected, other.path, first.path)


def epoch_indices(num_sequences: int, *, seed: int, epoch: int) -> Tensor:
    """The order of an epoch: a permutation of 0..num_sequences − 1, (num_sequences,) int64.

    It depends on nothing but the arguments, so resuming needs no state.
    """
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(num_sequences))


def batches(indices: Tensor, batch_size: int, *, drop_last: bool) -> tuple[Tensor, ...]:
    """Cuts indices into batches.

    Args:
        indices: (n,) int64.
        batch_size: indices per batch.
        drop_last: leave out a short last batch (training), unless it is the only one.
    """
    parts = indices.split(batch_size)
    return parts[:-1] if drop_last and len(parts) > 1 and len(parts[-1]) < batch_size else parts


def even_batches(indices: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Cuts indices into batches of about the same size, as close to `batch_size` as they go.

    Args:
        indices: (n,) int64.
        batch_size: of all batches but the last ones, which share what is over or lacking.
    """
    parts = indices.tensor_split(max(1, round(len(indices) / batch_size)))
    sizes = sorted(map(len, parts), key=lambda size: abs(size - batch_size))
    return indices.split(sizes)


def reverse_complement(x: Tensor) -> Tensor:
    """The other strand of one-hot DNA, (B, 4, L) → (B, 4, L).

    In the order A, G, C, T a base and its complement mirror each other, so both axes are flipped.
    """
    return x.flip(1, 2)


def random_strands(num_sequences: int, *, seed: int, epoch: int) -> Tensor:
    """Which sequences an epoch reads on their other strand, (num_sequences,) bool.

    It depends on nothing but the arguments, as the epoch's order does.
    """
    bits = np.random.default_rng((seed, epoch, 1)).integers(0, 2, num_sequences, dtype=np.bool_)
    return torch.from_numpy(bits)


def is_reverse_complement_doubled(split: PackedSplit) -> bool:
    """Whether the second half repeats the first: sequences reverse-complemented, labels equal."""
    half, odd = divmod(split.num_sequences, 2)
    if odd:
        return False
    cpu = torch.device("cpu")
    for indices in torch.arange(half).split(_CHECK_BATCH):
        forward, backward = split.batch(indices, cpu), split.batch(indices + half, cpu)
        if not torch.equal(reverse_complement(forward.x), backward.x):
            return False
        if not torch.equal(forward.labels, backward.labels):
            return False
    return True


@functools.cache
def _bits_of_byte(device: torch.device) -> Tensor:
    """Row i holds the 8 bits of byte i, highest first, (256, 8) float32."""
    shifts = torch.arange(7, -1, -1, device=device)
    return ((torch.arange(256, device=device)[:, None] >> shifts) & 1).float()
