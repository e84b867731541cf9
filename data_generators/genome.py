"""Sequences out of FASTA files, as codes of bases; needs pysam, which is optional."""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
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
        path: the file.
        lengths: of the chromosomes in bp, by name, in file order.
    """

    def __init__(self, path: str) -> None:
        """Opens the file.

        Raises:
            ValueError: it is missing, empty, damaged or compressed by gzip, its index is missing
                or older and can't be written, or pysam is not installed.
        """
        pysam = import_pysam()
        _write_index(pysam, path, compressed=_check_fasta(path))
        with reading(path, _KIND):
            self._file = pysam.FastaFile(path)
        self.path = path
        self.lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        if not any(self.lengths.values()):
            raise ValueError(f"{path}: no sequence in it; expected {_KIND}")

    def codes(self, chromosome: str) -> Codes:
        """The bases of a chromosome, (length,).

        Raises:
            ValueError: a letter is no base, or the file is damaged.
        """
        length = self.lengths[chromosome]
        codes = np.empty(length, np.uint8)
        for start in range(0, length, _PIECE):
            stop = min(start + _PIECE, length)
            with reading(self.path, _KIND):
                codes[start:stop] = _CODE[_bytes(self._file.fetch(chromosome, start, stop))]
            _check_letters(codes[start:stop], self.path, chromosome, start)
        return codes

    def __enter__(self) -> "Genome":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    with reading(path, _KIND):
        file = pysam.FastxFile(path)
    with file:
        while True:
            with reading(path, _KIND):
                entry = next(file, None)
            if entry is None:
                break
            codes = _CODE[_bytes(entry.sequence or "")]
            _check_letters(codes, path, entry.name)
            empty = False
            yield Record(entry.name, codes)
    if empty:
        raise ValueError(f"{path}: no sequence in it; expected {_KIND}")


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
    return np.frombuffer(text.encode("latin-1"), np.uint8)


def _check_fasta(path: str) -> bool:
    """Checks what can be seen at both ends; whether it is compressed."""
    check_file(path, _KIND)
    if Path(path).stat().st_size == 0:
        raise ValueError(f"{path}: no sequence in it; expected {_KIND}")
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(-min(len(_BGZIP_END), Path(path).stat().st_size), 2)
        tail = file.read()
    compressed = head[:2] == b"\x1f\x8b"
    if compressed and head[12:14] != b"BC":
        raise ValueError(f"{path}: compressed by gzip; expected {_KIND} (gunzip it, then bgzip)")
    if compressed and tail != _BGZIP_END:
        raise ValueError(f"{path}: truncated (bgzip's last block is missing); expected {_KIND}")
    with reading(path, _KIND), (gzip.open if compressed else open)(path, "rb") as file:
        first = file.read(1)
    if first != b">":
        raise ValueError(f"{path}: does not begin with '>'; expected {_KIND}")
    return compressed


def _write_index(pysam: Any, path: str, *, compressed: bool) -> None:
    """Writes a missing or older index, as htslib would, but whole or not at all."""
    flags = {"--fai-idx": Path(f"{path}.fai")}
    if compressed:
        flags["--gzi-idx"] = Path(f"{path}.gzi")
    changed = Path(path).stat().st_mtime
    if all(index.is_file() and index.stat().st_mtime >= changed for index in flags.values()):
        return
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_write(index)).name for index in flags.values()]
        words = [word for pair in zip(flags, files, strict=True) for word in pair]
        try:
            pysam.faidx(*words, path)
        except pysam.SamtoolsError as error:
            raise ValueError(
                f"{path}: can't be indexed; a sequence's lines differ in length, or it is damaged"
            ) from error


def _check_letters(codes: Codes, path: str, name: str, start: int = 0) -> None:
    wrong = np.flatnonzero(codes == _INVALID)
    if len(wrong):
        raise ValueError(
            f"{path}: sequence {name} has a letter that is no base at "
            f"position {start + wrong[0] + 1}; expected A, C, G, T, N and the other IUPAC letters"
        )
