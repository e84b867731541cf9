"""Genotype files: ours (JSON in an array file), JSON text, and the 2021 system's (pickled)."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from generalNAS_tools.files.atomic_files import check_file, reading, write_array
from generalNAS_tools.files.pickled_genotypes import unpickle_genotype
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype

MAX_GENOTYPE_BYTES = 1 << 20
_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
"""Byte order marks, the zeros of UTF-16, blanks: what editors put before a text."""


def read_genotype(path: str | os.PathLike[str]) -> Genotype:
    """Reads a genotype file: ours (JSON in a 0-d array), JSON text, the 2021 system's (pickled).

    Pickled files pass through a reader that can build nothing but a genotype.

    Raises:
        ValueError: the file is missing, unreadable or holds no valid genotype.
    """
    path = Path(path)
    check_file(path, "a genotype (.npy or JSON text), see --genotype_file")
    if path.stat().st_size > MAX_GENOTYPE_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes is too large for a genotype")
    with reading(path, "a genotype file"):
        value = _decode(path.read_bytes())
    return parse_genotype(value, source=str(path))


def write_genotype(path: str | os.PathLike[str], genotype: Genotype) -> None:
    """Writes a genotype atomically as a 0-d unicode array with JSON; no pickle."""
    write_array(path, np.array(genotype.to_json()))


def _decode(raw: bytes) -> Any:
    if raw.lstrip(_BEFORE_TEXT).startswith((b"{", b"[")):  # neither begins a pickle
        return json.loads(raw)
    if not raw.startswith(b"\x93NUMPY"):
        return unpickle_genotype(raw)
    stream = io.BytesIO(raw)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        return unpickle_genotype(stream.read())
    if dtype.kind != "U" or shape != ():
        raise ValueError(f"holds {dtype} of shape {shape}, not JSON text")
    stream.seek(0)
    return json.loads(str(np.load(stream, allow_pickle=False)))
