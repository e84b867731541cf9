"""Reading arrays out of MATLAB files: v7.3 piece by piece in bounded memory, v5 a whole variable.

MATLAB stores an array column-major: its first index, here the sequence, changes fastest. A
*plane* is the N values that share all other indices (a channel of a position, or a target).
Shapes are reversed, as HDF5 lists them: (L, 4, N) for sequences, (targets, N) for labels, N
sequences of length L.
"""

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
from numpy.typing import NDArray
from scipy.io import loadmat

from generalNAS_tools.data.matlab_v5 import NUMBERS, list_v5

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
        values: the values as stored, (n,).
    """

    plane: int
    start: int
    values: NDArray[Any]


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
def open_mat(path: Path, names: Sequence[str]) -> Iterator[list[MatArray]]:
    """Opens a MATLAB file and yields the named variables.

    Raises:
        ValueError: the file is no MATLAB file, truncated or unreadable, or a variable is missing
            or no numeric array.
    """
    with contextlib.ExitStack() as stack:
        with _reading(path):
            is_hdf5 = h5py.is_hdf5(path)
            # HDF5's own locks fail on file systems without any.
            file = stack.enter_context(h5py.File(path, locking=False)) if is_hdf5 else None
        yield _hdf5_arrays(file, names, path) if file else _v5_arrays(path, names)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever reading a damaged file raises into a ValueError that names it."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise ValueError(f"{path}: can't be read, damaged or truncated ({reason})") from error


@dataclass(frozen=True)
class _LoadedArray:
    """A variable in memory.

    Attributes:
        planes: all planes, (planes, N).
        shape: axes in reversed order.
    """

    planes: NDArray[Any]
    shape: tuple[int, ...]
    chunk: int = 1

    def pieces(self, start: int, stop: int, *, tile_bytes: int) -> Iterator[Piece]:
        """Slices the planes."""
        for plane in range(self.planes.shape[0]):
            step = max(tile_bytes // self.planes.itemsize, 1)
            for first in range(start, stop, step):
                yield Piece(plane, first, self.planes[plane, first : min(first + step, stop)])


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
                with _reading(self.path):
                    tile = self.dataset[row : row + height, ..., left:right]
                planes = tile.reshape(-1, right - left)
                for number, values in enumerate(planes, start=row * math.prod(inner)):
                    yield Piece(number, left, values)


def _multiple(value: int, unit: int) -> int:
    """The largest multiple of `unit` up to `value`, at least one unit."""
    return max(value // unit, 1) * unit


def _check(path: Path, name: str, shape: tuple[int, ...], kind: str) -> None:
    """Checks a variable's class, and that a file of this size can hold its shape."""
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


def _missing(path: Path, name: str, held: Iterable[str]) -> ValueError:
    listing = " ".join(", ".join(sorted(held)).split())[:500] or "nothing"
    return ValueError(f"{path}: no array {name}; the file holds {listing}")


def _v5_arrays(path: Path, names: Sequence[str]) -> list[MatArray]:
    with _reading(path):
        held = list_v5(path)
    if held is None:
        raise ValueError(f"{path}: not a MATLAB file; expected version 5 or 7.3")
    for name in names:
        if name not in held:
            raise _missing(path, name, held)
        _check(path, name, *held[name])
    with _reading(path), warnings.catch_warnings(action="ignore"):
        loaded = loadmat(path, appendmat=False, variable_names=names)
        arrays = [loaded[name].T for name in names]
    return [_LoadedArray(array.reshape(-1, array.shape[-1]), array.shape) for array in arrays]


def _hdf5_arrays(file: h5py.File, names: Sequence[str], path: Path) -> list[MatArray]:
    arrays: list[MatArray] = []
    for name in names:
        with _reading(path):
            held = [f"{key}" for key in file]  # a damaged name is bytes
            link = file.get(name, getlink=True)
            # Only data that lie in this very file: links and outside storage are not followed.
            item: Any = file[name] if isinstance(link, h5py.HardLink) else None
            shape, kind = getattr(item, "shape", None) or (), _hdf5_class(item)
        if name not in held:
            raise _missing(path, name, held)
        _check(path, name, shape, kind)
        if len(shape) == 1:  # the labels of a single target
            with _reading(path):
                arrays.append(_LoadedArray(item[()][None], (1, *shape)))
        else:
            arrays.append(_Hdf5Array(item, path))
    return arrays


def _hdf5_class(item: h5py.Dataset | h5py.Group | None) -> str:
    """The MATLAB class of a variable, as far as it matters here."""
    if isinstance(item, h5py.Group):
        return "sparse" if "MATLAB_sparse" in item.attrs else "struct"
    if item is None or item.is_virtual or item.external:
        return "link"
    if item.dtype.kind not in "biuf":
        return {"V": "complex", "O": "cell", "S": "char"}.get(item.dtype.kind, "object")
    stored = item.attrs.get("MATLAB_class", b"double")
    return stored.decode() if isinstance(stored, bytes) else f"{stored}"
