"""Sequences out of FASTA files, as codes of bases; needs pysam, which is optional."""

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_generators.planted_motifs import BASES, UNKNOWN, Codes
from generalNAS_tools.files.atomic_files import atomic_write, check_file, reading

_INVALID = 255
_CODE = np.full(256, _INVALID, np.uint8)
for _letter in "RYSWKMBDHVN":
    _CODE[[ord(_letter), ord(_letter.lower())]] = UNKNOWN
for _code, _letter in enumerate(BASES):
    _CODE[[ord(_letter), ord(_letter.lower())]] = _code
_PIECE = 1 << 24
"""Bases read at a time."""
_KIND = "a FASTA file, plain or compressed by bgzip"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every file of bgzip's."""


class Record(NamedTuple):
    """A sequence of a FASTA file: its name and its bases, (L,)."""

    name: str
    codes: Codes


class Genome:
    """A FASTA file with its index, written beside it where there is none or it is older.

    Attributes:
        source: the file, for messages; with its index if that was there before.
        lengths: of the chromosomes in bp, by name, in file order.
    """

    def __init__(self, path: str) -> None:
        """Opens the file.

        Raises:
            ValueError: it is missing, empty, damaged or compressed by gzip, its index is missing
                or older and can't be written, or pysam is not installed.
        """
        pysam = import_pysam()
        index = f" (by {path}.fai; should that be wrong, delete it: it is made anew)"
        written = _write_index(pysam, path, compressed=_check_fasta(path))
        self.source = path if written else path + index
        with reading(self.source, _KIND):
            self._file = pysam.FastaFile(path)
            self.lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        if not any(self.lengths.values()):
            raise ValueError(f"{self.source}: no sequence in it; expected {_KIND}")

    def codes(self, chromosome: str, start: int = 0, stop: int | None = None) -> Codes:
        """The bases of a chromosome from `start` to `stop`; beyond its ends they are unknown.

        Raises:
            ValueError: a letter is no base, or the file is damaged.
        """
        length = self.lengths[chromosome]
        stop = length if stop is None else stop
        codes = np.full(stop - start, UNKNOWN, np.uint8)
        for first in range(max(start, 0), min(stop, length), _PIECE):
            last = min(first + _PIECE, stop, length)
            with reading(self.source, _KIND):
                piece = codes[first - start : last - start]
                piece[:] = _CODE[_bytes(self._file.fetch(chromosome, first, last))]
            _check_letters(piece, f"{self.source}: sequence {chromosome}", first)
        return codes

    def __enter__(self) -> "Genome":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_fasta(path: str) -> Iterator[Record]:
    """Reads the sequences of a FASTA file one by one; no index is needed.

    Raises:
        ValueError: the file is missing, empty or damaged, a letter is no base, or pysam is not
            installed.
    """
    pysam = import_pysam()
    _check_fasta(path)
    empty = True
    for entry in _entries(pysam, path):
        empty = False
        yield Record(entry.name, encode(entry.sequence or "", f"{path}: sequence {entry.name}"))
    if empty:
        raise ValueError(f"{path}: no sequence in it; expected {_KIND}")


def _entries(pysam: Any, path: str) -> Iterator[Any]:
    with reading(path, _KIND), pysam.FastxFile(path) as file:
        yield from file


def encode(text: str, source: str) -> Codes:
    """The bases of a text as codes, (L,).

    Raises:
        ValueError: a letter is no base; the message begins with `source`.
    """
    codes: Codes = _CODE[_bytes(text)]
    _check_letters(codes, source)
    return codes


def is_sequence(text: str) -> bool:
    """Whether every letter of a text is a base, or IUPAC's for some."""
    return not (_CODE[_bytes(text)] == _INVALID).any()


def reverse_complement(codes: Codes) -> Codes:
    """The other strand, (..., L); unknown bases stay unknown."""
    return np.array([3, 2, 1, 0, UNKNOWN], np.uint8)[codes[..., ::-1]]


def import_pysam() -> Any:
    """The module.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import pysam
    except ImportError as error:
        raise ValueError("FASTA files need pysam: pip install 'genomeNAS[genomes]'") from error
    pysam.set_verbosity(0)
    return pysam


def _bytes(text: str) -> Any:
    return np.frombuffer(text.encode("latin-1", "replace"), np.uint8)


def check_bgzip(path: str, kind: str) -> bool:
    """Whether a file is compressed, by bgzip and up to its end.

    Raises:
        ValueError: it is missing, truncated or compressed by gzip; expected was a `kind`.
    """
    check_file(path, kind)
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(-min(len(_BGZIP_END), file.seek(0, os.SEEK_END)), os.SEEK_END)
        tail = file.read()
    compressed = head[:2] == b"\x1f\x8b"
    if compressed and head[12:14] != b"BC":
        raise ValueError(f"{path}: compressed by gzip; expected {kind} (gunzip it, then bgzip)")
    if compressed and tail != _BGZIP_END:
        raise ValueError(f"{path}: truncated (bgzip's last block is missing); expected {kind}")
    return compressed


def _check_fasta(path: str) -> bool:
    """Checks how it begins and ends; whether it is compressed."""
    compressed = check_bgzip(path, _KIND)
    with reading(path, _KIND), (gzip.open if compressed else open)(path, "rb") as file:
        first = file.read(1)
    if first != b">":
        what = "does not begin with '>'" if first else "no sequence in it"
        raise ValueError(f"{path}: {what}; expected {_KIND}")
    return compressed


def _write_index(pysam: Any, path: str, *, compressed: bool) -> bool:
    """Writes a missing or older index, as htslib would, but whole or not at all; whether it did."""
    flags = {"--fai-idx": Path(f"{path}.fai")}
    if compressed:
        flags["--gzi-idx"] = Path(f"{path}.gzi")
    changed = Path(path).stat().st_mtime
    if all(index.is_file() and index.stat().st_mtime >= changed for index in flags.values()):
        return False
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_write(index)).name for index in flags.values()]
        words = [word for pair in zip(flags, files, strict=True) for word in pair]
        try:
            pysam.faidx(*words, path)
        except pysam.SamtoolsError as error:
            raise ValueError(
                f"{path}: can't be indexed; a sequence's lines differ in length, or it is damaged"
            ) from error
        with (gzip.open if compressed else open)(path, "rb") as file:
            counts = Counter(line.split()[0] for line in file if line.startswith(b">"))
        name, count = counts.most_common(1)[0]
        if count > 1:
            raise ValueError(f"{path}: {count} sequences are called {name[1:].decode()!r}")
    return True


def _check_letters(codes: Codes, source: str, start: int = 0) -> None:
    wrong = np.flatnonzero(codes == _INVALID)
    if len(wrong):
        raise ValueError(
            f"{source} has a letter that is no base at position {start + wrong[0] + 1}; "
            "expected A, C, G, T, N and the other IUPAC letters"
        )
