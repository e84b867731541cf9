"""Reading arrays out of MATLAB files, v5 and v7.3, piece by piece in bounded memory.

MATLAB stores an array column-major: its first index, here the sequence, changes fastest. A
*plane* is the N values that share all other indices (a channel of a position, or a target).
Shapes are reversed, as HDF5 lists them: (L, 4, N) for sequences, (targets, N) for labels, N
sequences of length L.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py

from generalNAS_tools.data.matlab_v5 import Piece, as_value_error, list_v5


class MatArray(Protocol):
    """A numeric array of a MATLAB file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes in reversed order, the number of sequences N last."""

    @property
    def chunk(self) -> int:
        """Number of sequences that the file stores together."""

    def pieces(self, start: int, stop: int, *, tile_bytes: int) -> Iterator[Piece]:
        """Yields the values of sequences start..stop of every plane, about tile_bytes at a time."""


@contextlib.contextmanager
def open_mat(path: Path) -> Iterator[dict[str, MatArray | None]]:
    """Opens a MATLAB file and yields its variables; None for what is no plain numeric array.

    Raises:
        ValueError: the file is no MATLAB file, truncated or unreadable.
    """
    with contextlib.ExitStack() as stack:
        arrays: dict[str, MatArray | None]
        with as_value_error(path):
            if h5py.is_hdf5(path):
                file = stack.enter_context(h5py.File(path, "r"))
                arrays = {name: _hdf5_array(file, name, path) for name in file}
            else:
                arrays = {**list_v5(path)}
        yield arrays


@dataclass(frozen=True)
class _Hdf5Array:
    dataset: h5py.Dataset
    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.shape)

    @property
    def chunk(self) -> int:
        return self.dataset.chunks[-1] if self.dataset.chunks else 1

    def pieces(self, start: int, stop: int, *, tile_bytes: int) -> Iterator[Piece]:
        """Reads tiles made of whole chunks, so that no chunk is decompressed twice."""
        rows, *inner, _ = self.shape
        row_bytes = math.prod(inner) * self.dataset.dtype.itemsize
        chunk_rows = self.dataset.chunks[0] if self.dataset.chunks else 1
        smallest = chunk_rows * row_bytes * self.chunk
        if smallest > 12 * tile_bytes:
            raise ValueError(
                f"{self.path}: {self.dataset.name} is stored in chunks of {smallest:,} bytes, too "
                f"large for bounded memory ({12 * tile_bytes:,}); rewrite it with h5repack"
            )
        width = _multiple(tile_bytes // (chunk_rows * row_bytes), self.chunk)
        height = _multiple(tile_bytes // (min(width, stop - start) * row_bytes), chunk_rows)
        for first in range(start // width * width, stop, width):
            left, right = max(first, start), min(first + width, stop)
            for row in range(0, rows, height):
                with as_value_error(self.path):
                    tile = self.dataset[row : row + height, ..., left:right]
                planes = tile.reshape(-1, right - left)
                for number, values in enumerate(planes, start=row * math.prod(inner)):
                    yield Piece(number, left, values)


def _multiple(value: int, unit: int) -> int:
    """The largest multiple of `unit` up to `value`, at least one unit."""
    return max(value // unit, 1) * unit


def _hdf5_array(file: h5py.File, name: str, path: Path) -> MatArray | None:
    """Takes only data that lie in this very file: links and outside storage are not followed."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.ndim < 2 or item.dtype.kind not in "biuf":
        return None
    return None if item.is_virtual or item.external else _Hdf5Array(item, path)
