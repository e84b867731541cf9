"""What a MATLAB v5 file holds; the values are scipy's business.

scipy's own listing fails on MATLAB's objects (string, table), and its reader would crash on a
damaged type of values, so what precedes the values is looked at here. Every variable is an
element: a tag (type, size) and its body, perhaps compressed; that of a matrix is made of elements
again: flags, dimensions, name, values.
"""

import struct
import zlib
from pathlib import Path

Found = tuple[tuple[int, ...], str]
"""Shape and class of a variable."""
NUMBERS = "double"
"""Stands for every class of numbers."""
_CLASSES = {1: "cell", 2: "struct", 4: "char", 5: "sparse", 16: "function"}
_CLASSES |= dict.fromkeys(range(6, 16), NUMBERS)
"""Classes of variables by their numbers; any other is one of MATLAB's objects."""
_STORED = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
"""Types of stored numbers."""
_COMPRESSED, _COMPLEX = 15, 0x0800
_HEADER_BYTES, _HEAD_BYTES = 128, 4096


def list_v5(path: Path) -> dict[str, Found]:
    """Shapes and classes of a file's variables by name.

    Raises:
        KeyError, ValueError, struct.error, zlib.error: it is no v5 file, or damaged.
    """
    held: dict[str, Found] = {}
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}[file.read(_HEADER_BYTES)[126:]]
        while tag := file.read(8):
            kind, size = struct.unpack(f"{order}II", tag)
            end = file.tell() + size
            if end > path.stat().st_size:
                raise ValueError("it ends early")
            head = file.read(min(size, _HEAD_BYTES))
            if kind == _COMPRESSED:
                head = zlib.decompressobj().decompress(head, _HEAD_BYTES)[8:]
            name, shape, matlab_class = _read_head(head, order)
            held.setdefault(name, (shape, matlab_class))
            file.seek(end)
    return held


def _read_head(head: bytes, order: str) -> tuple[str, tuple[int, ...], str]:
    """Name, shape and class of a v5 variable; objects have no shape."""
    (flags,) = struct.unpack_from(f"{order}I", head, 8)
    kind = "complex" if flags & _COMPLEX else _CLASSES.get(flags & 0xFF, "object")
    _, dims, position = _element(head, 16, order)
    if kind == "object":
        return dims.decode("latin-1"), (), kind
    _, name, position = _element(head, position, order)
    values, _, _ = _element(head, position, order)
    if kind == NUMBERS and values not in _STORED:
        raise ValueError(f"values of the unknown type {values}")
    return name.decode("latin-1"), struct.unpack(f"{order}{len(dims) // 4}i", dims), kind


def _element(head: bytes, position: int, order: str) -> tuple[int, bytes, int]:
    """Type and bytes of the element at a position, and the position of the next."""
    kind, size = struct.unpack_from(f"{order}II", head, position)
    start = position + 8
    if kind >> 16:  # up to four bytes lie in the tag itself
        return kind & 0xFFFF, head[position + 4 : position + 4 + (kind >> 16)], start
    return kind, head[start : start + size], start + size + -size % 8
