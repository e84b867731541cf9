"""Reading arrays out of MATLAB v5 files as a stream.

The layout is that of MathWorks, "MAT-File Format", version 5: a header of 128 bytes, then one
element per variable, perhaps compressed by zlib. An element is a tag (type, size) and its body;
that of a matrix is made of elements again: flags, dimensions, name, values.
"""

import contextlib
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"}
_STORAGE |= {7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Storage types of v5 by their numbers."""
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800
_MAX_SMALL_ELEMENT = 4096
_SKIP_BYTES = 1 << 20
_INPUT_BYTES = 1 << 14
"""Compressed bytes read at a time; zlib copies what it has not used at every call."""
_OUTPUT_BYTES = 1 << 18


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


@contextlib.contextmanager
def as_value_error(path: Path) -> Iterator[None]:
    """Turns the errors of reading a damaged file into a ValueError that names it."""
    try:
        yield
    except (OSError, RuntimeError, struct.error, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: can't be read, damaged or truncated ({reason})") from error


@dataclass(frozen=True)
class _Element:
    """A top-level v5 element: where it starts, its size behind the tag, its byte order."""

    path: Path
    offset: int
    size: int
    compressed: bool
    order: str

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Opens the element at the tag of its matrix, inflated where it is compressed."""
        with self.path.open("rb") as file:
            file.seek(self.offset + 8 * self.compressed)
            yield (
                io.BufferedReader(_Inflated(file, self.size), _OUTPUT_BYTES)
                if self.compressed
                else file
            )


class _Inflated(io.RawIOBase):
    """The zlib stream of a compressed element as a readable file, inflated as it is read."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size
        self._inflater = zlib.decompressobj()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._inflater.eof:
            if not self._pending:
                self._pending = self._file.read(min(self._left, _INPUT_BYTES))
                self._left -= len(self._pending)
            if not self._pending:
                raise OSError("the compressed data end early")
            data = self._inflater.decompress(self._pending, min(len(buffer), _OUTPUT_BYTES))
            self._pending = self._inflater.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


class _Matrix(NamedTuple):
    """The description that precedes the values of a v5 matrix; no dtype if it isn't numeric."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None


@dataclass(frozen=True)
class V5Array:
    """A numeric array of a v5 file; a `MatArray`.

    Attributes:
        element: where it is stored.
        shape: axes in reversed order.
        dtype: of the stored values.
        chunk: number of sequences stored together: planes lie one after the other, so none are.
    """

    element: _Element
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: int = 1

    def pieces(self, start: int, stop: int, *, tile_bytes: int) -> Iterator[Piece]:
        """Reads the element from its start and skips the other sequences of every plane."""
        item = self.dtype.itemsize
        step = max(tile_bytes // item, 1)
        with self.element.open() as file:
            _, stream = _read_matrix(file, self.element.order)
            for plane in range(math.prod(self.shape[:-1])):
                for first in range(start, stop, step):
                    with as_value_error(self.element.path):
                        _skip(stream, start * item if first == start else 0)
                        data = _exactly(stream, min(step, stop - first) * item)
                    yield Piece(plane, first, np.frombuffer(data, self.dtype))
                with as_value_error(self.element.path):
                    _skip(stream, (self.shape[-1] - stop) * item)


def list_v5(path: Path) -> dict[str, V5Array | None]:
    """Finds the variables of a v5 file; None for what is no plain numeric array.

    Raises:
        ValueError: the file is neither v5 nor v7.3.
        OSError: it is truncated or damaged.
    """
    arrays: dict[str, V5Array | None] = {}
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if order is None:
            raise ValueError(f"{path}: not a MATLAB file; expected version 5 or 7.3")
        end, position = os.fstat(file.fileno()).st_size, _HEADER_BYTES
        while position < end:
            file.seek(position)
            kind, size, _ = _read_tag(file, order)
            element = _Element(path, position, size, kind == _COMPRESSED, order)
            position += 8 + size
            if position > end:
                raise OSError(f"it should have {position:,} bytes or more, but has {end:,}")
            if kind in (_MATRIX, _COMPRESSED) and size:
                with element.open() as stream:
                    (name, shape, dtype), _ = _read_matrix(stream, order)
                arrays[name] = V5Array(element, shape, dtype) if dtype else None
    return arrays


def _read_matrix(stream: IO[bytes], order: str) -> tuple[_Matrix, IO[bytes]]:
    """Reads a matrix up to its values; returns its description and the stream of the values."""
    _read_tag(stream, order)
    flags, dimensions, text = (_read_element(stream, order) for _ in range(3))
    shape = tuple(size for (size,) in struct.iter_unpack(f"{order}i", dimensions))[::-1]
    name = text.decode("latin-1")
    (flag,) = struct.unpack_from(f"{order}I", flags)
    if flag & 0xFF not in _NUMERIC_CLASSES or flag & _COMPLEX or min(shape, default=0) < 0:
        return _Matrix(name, shape, None), stream
    kind, size, small = _read_tag(stream, order)
    dtype = np.dtype(order + _STORAGE[kind]) if kind in _STORAGE else None
    if dtype and size != math.prod(shape) * dtype.itemsize:
        raise OSError(f"{name} of shape {shape[::-1]} has {size:,} bytes of {dtype}")
    return _Matrix(name, shape, dtype), io.BytesIO(small) if small else stream


def _read_tag(stream: IO[bytes], order: str) -> tuple[int, int, bytes]:
    """Reads a tag: the type, the number of bytes, and the bytes where they fit in the tag."""
    raw = _exactly(stream, 8)
    kind, size = struct.unpack(f"{order}II", raw)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, raw[4 : 4 + (kind >> 16)]
    return kind, size, b""


def _read_element(stream: IO[bytes], order: str) -> bytes:
    """Reads one of the short elements that describe a matrix, padding included."""
    _, size, small = _read_tag(stream, order)
    if size > _MAX_SMALL_ELEMENT:
        raise OSError(f"a description of {size:,} bytes")
    return small or _exactly(stream, size + -size % 8)[:size]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise OSError("it ends early")
    return data


def _skip(stream: IO[bytes], size: int) -> None:
    if stream.seekable():
        stream.seek(size, os.SEEK_CUR)
        return
    for done in range(0, size, _SKIP_BYTES):
        _exactly(stream, min(_SKIP_BYTES, size - done))
