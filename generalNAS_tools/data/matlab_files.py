"""Reading arrays out of MATLAB files: v7.3 piece by piece in bounded memory, v5 a whole variable.

MATLAB stores an array column-major: its first index, here the sequence, changes fastest. A
*plane* is the N values that share all other indices (a channel of a position, or a target).
Shapes are reversed, as HDF5 lists them: (L, 4, N) for sequences, (targets, N) for labels, N
sequences of length L.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.data.matlab_v5 import NUMBERS, Found, list_v5
from generalNAS_tools.files.atomic_files import reading

KIND = "a MATLAB file of version 5 or 7.3"
_NUMERIC = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_NUMERIC |= {"single", "logical", NUMBERS}
_CONVERSIONS = {
    "sparse": "full({})",
    "cell": "cell2mat({})",
    "char": "{} - '0'",
    "complex": "real({})",
}
"""What turns a variable of another class into numbers, in MATLAB."""
_DEFLATE = 1032
"""The most by which zlib shrinks."""
_UNWRITTEN = 1 << 24
"""Values that a file may leave unwritten, as zeros."""


class Piece(NamedTuple):
    """A run of values of one plane.

    Attributes:
        plane: number of the plane, in file order.
        start: number of the run's first sequence.
        ones: where the values are 1, (n,).
    """

    plane: int
    start: int
    ones: NDArray[np.bool_]


@dataclass(frozen=True)
class MatArray:
    """A variable of zeros and ones in a MATLAB file.

    Attributes:
        path: the file.
        name: of the variable.
        values: with axes in reversed order, the number of sequences N last; on disk (v7.3) or in
            memory.
    """

    path: Path
    name: str
    values: h5py.Dataset | NDArray[Any]

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what the file stores together."""
        return getattr(self.values, "chunks", None) or (1,) * self.values.ndim

    def pieces(self, start: int, stop: int, *, tile_bytes: int) -> Iterator[Piece]:
        """Yields sequences start..stop of every plane, about tile_bytes at a time.

        Tiles are made of whole chunks, so that no chunk is decompressed twice.

        Raises:
            ValueError: the file is damaged, its chunks are too large, or a value is neither 0
                nor 1.
        """
        rows, *inner, _ = self.values.shape
        row_bytes = math.prod(inner) * self.values.dtype.itemsize
        smallest = self.chunks[0] * row_bytes * self.chunks[-1]
        if smallest > 12 * tile_bytes:
            raise ValueError(
                f"{self.path}: {self.name} is stored in chunks of {smallest:,} bytes, too "
                f"large for bounded memory ({12 * tile_bytes:,}); rewrite it with h5repack"
            )
        width = _multiple(tile_bytes // (self.chunks[0] * row_bytes), self.chunks[-1])
        height = _multiple(tile_bytes // (min(width, stop - start) * row_bytes), self.chunks[0])
        for first in range(start // width * width, stop, width):
            left, right = max(first, start), min(first + width, stop)
            for row in range(0, rows, height):
                with reading(self.path, KIND):
                    tile = self.values[row : row + height, ..., left:right]
                planes = tile.reshape(-1, right - left)
                for plane, values in enumerate(planes, start=row * math.prod(inner)):
                    yield Piece(plane, left, self._ones(values))

    def _ones(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        ones = values == 1
        valid = ones | (values == 0)
        if not valid.all():
            raise ValueError(
                f"{self.path}: {self.name} holds {values[~valid][0]}; expected only 0 and 1"
            )
        return ones


@contextlib.contextmanager
def open_mat(path: Path, names: Sequence[str]) -> Iterator[list[MatArray]]:
    """Opens a MATLAB file and yields the named variables.

    Raises:
        ValueError: the file is no MATLAB file, truncated or unreadable, or a variable is missing
            or no numeric array.
    """
    with contextlib.ExitStack() as stack:
        with reading(path, KIND):
            is_hdf5 = h5py.is_hdf5(path)
            # HDF5's own locks fail on file systems without any.
            file = stack.enter_context(h5py.File(path, locking=False)) if is_hdf5 else None
            held = _list_hdf5(file, names) if file else list_v5(path)
        for name in names:
            _check(path, name, held)
        with reading(path, KIND), warnings.catch_warnings(action="ignore"):
            if file:
                values = [file[name] for name in names]
                values = [array[()][None] if array.ndim == 1 else array for array in values]
            else:
                from scipy.io import loadmat  # slow: not for --help

                loaded = loadmat(path, appendmat=False, variable_names=names)
                values = [loaded[name].T for name in names]
        yield [MatArray(path, *named) for named in zip(names, values, strict=True)]


def _multiple(value: int, unit: int) -> int:
    """The largest multiple of `unit` up to `value`, at least one unit."""
    return max(value // unit, 1) * unit


def _check(path: Path, name: str, held: Mapping[str, Found]) -> None:
    """Checks that a variable is there, and numeric, and can lie in a file of this size."""
    if name not in held:
        listing = " ".join(", ".join(sorted(held)).split())[:500] or "nothing"
        raise ValueError(f"{path}: no array {name}; the file holds {listing}")
    shape, kind = held[name]
    if kind not in _NUMERIC:
        conversion = _CONVERSIONS.get(kind, "the numbers in {}").format(name)
        raise ValueError(
            f"{path}: {name} is of class {kind}, expected numbers; save {conversion} instead"
        )
    size = path.stat().st_size
    if math.prod(shape) > _DEFLATE * size + _UNWRITTEN:
        raise ValueError(
            f"{path}: {name} claims to be {shape}, more than a file of {size:,} bytes can hold"
        )


def _list_hdf5(file: h5py.File, names: Sequence[str]) -> dict[str, Found]:
    """The variables of a v7.3 file by name; of those not named neither shape nor class."""
    held = [f"{key}" for key in file]  # a damaged name is bytes
    return {name: _hdf5_class(file, name) if name in names else ((), "") for name in held}


def _hdf5_class(file: h5py.File, name: str) -> Found:
    """Shape and MATLAB class of a variable; what lies outside this very file is a link."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return (), "link"
    item = file[name]
    if isinstance(item, h5py.Group):
        return (), "sparse" if "MATLAB_sparse" in item.attrs else "struct"
    if item.is_virtual or item.external:
        return (), "link"
    stored = item.attrs.get("MATLAB_class", b"double")
    kind = stored.decode() if isinstance(stored, bytes) else f"{stored}"
    if item.dtype.kind not in "biuf":
        kind = {"V": "complex", "O": "cell", "S": "char"}.get(item.dtype.kind, "object")
    return item.shape or (), kind
