"""Writing a bundle in DeepSEA's format: train.mat, valid.mat, test.mat and targets.txt.

Dimension letters: L sequence length (bp); n sequences of a block; N of a split.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from data_generators.planted_motifs import BASES, UNKNOWN, Codes
from generalNAS_tools.files.atomic_files import atomic_write, check_writable
from generalNAS_tools.runs.flags import RATE, flag, switch

SPLITS = ("train", "valid", "test")
_V5_BYTES = 1 << 28
"""The most that a v5 file, which is held in memory as a whole, takes for sequences and labels."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """Where the data are, and where the bundle goes."""

    title: ClassVar = None
    directory: str = flag(str, "data/own", "folder for train.mat, valid.mat, test.mat")
    genome: str = flag(str, "", "genome as FASTA, plain or bgzipped")
    peaks: tuple[str, ...] = flag(str, (), "BED or narrowPeak files, a target each")
    peaks_table: str = flag(str, "", "instead: a table with a target's name, a tab, its file")
    exclude: str = flag(str, "", "BED file of regions that no window may touch")
    valid_chroms: str = flag(str, "", "chromosomes of valid.mat, separated by commas")
    test_chroms: str = flag(str, "", "chromosomes of test.mat; the others train")
    fasta: tuple[str, ...] = flag(str, (), "instead of a genome: positives, negatives; or one file")
    labels: str = flag(str, "", "table of the labels of one --fasta file")
    valid_share: float = flag(RATE, 0.1, "share of the --fasta sequences in valid.mat")
    test_share: float = flag(RATE, 0.1, "share of the --fasta sequences in test.mat")
    double_strands: bool = switch(False, "append the reverse complements to every split")
    overwrite: bool = switch(False, "replace files that exist")


class Block(NamedTuple):
    """Some sequences: bases as codes, (n, L), and labels, (n, targets) bool."""

    codes: Codes
    labels: NDArray[np.bool_]


class Split(NamedTuple):
    """What one of the three files holds.

    Attributes:
        size: number of sequences N.
        blocks: draws or reads them from the first on, some at a time.
    """

    size: int
    blocks: Callable[[], Iterator[Block]]


def check_folder(directory: str | Path, *, overwrite: bool) -> None:
    """Checks that no file of a bundle is there, or may be replaced, and that all can be written.

    Raises:
        ValueError: a file exists and may not be overwritten, or can't be written.
    """
    for name in (*(f"{split}.mat" for split in SPLITS), "targets.txt"):
        if (Path(directory) / name).exists() and not overwrite:
            raise ValueError(f"{Path(directory) / name} exists; replace it with --overwrite")
        check_writable(Path(directory) / name)


def write_bundle(
    directory: str | Path, splits: dict[str, Split], *, seq_size: int, targets: Sequence[str]
) -> None:
    """Writes the four files; they get their names together, when the last is whole.

    train.mat is v7.3; the others are v5 unless they are too large for it.

    Args:
        directory: where to.
        splits: by the names of `SPLITS`.
        seq_size: length L of every sequence.
        targets: the lines of targets.txt, one per target.

    Raises:
        ValueError: a file can't be written.
    """
    with ExitStack() as stack:
        for name, split in splits.items():
            file = stack.enter_context(atomic_write(Path(directory) / f"{name}.mat"))
            held = split.size * (len(BASES) * seq_size + len(targets))
            if name != "train" and held <= _V5_BYTES:
                _write_v5(file, name, split)
            else:
                _write_v73(file, name, split, seq_size, len(targets))
        file = stack.enter_context(atomic_write(Path(directory) / "targets.txt"))
        file.write("".join(f"{line}\n" for line in targets).encode())


def _one_hot(codes: Codes) -> NDArray[np.uint8]:
    """(n, L) → (n, 4, L)."""
    return np.eye(UNKNOWN + 1, len(BASES), dtype=np.uint8)[codes].transpose(0, 2, 1)


def _write_v73(file: IO[bytes], name: str, split: Split, seq_size: int, targets: int) -> None:
    """Writes HDF5 with reversed axes behind MATLAB's header of 512 bytes, block by block."""
    shapes = {
        f"{name}xdata": (seq_size, len(BASES), split.size),
        f"{name}data": (targets, split.size),
    }
    chunk = min(max(_CHUNK_BYTES // (len(BASES) * seq_size), 1), 256, split.size)
    # atomic_write has locked the file, HDF5 can't do it once more.
    with h5py.File(file.name, "w", userblock_size=512, locking=False) as bundle:
        for variable, shape in shapes.items():
            chunks = (*shape[:-1], chunk)
            bundle.create_dataset(
                variable, shape, "u1", chunks=chunks, compression="gzip", compression_opts=1
            )
            bundle[variable].attrs["MATLAB_class"] = np.bytes_("uint8")
        start = 0
        for codes, labels in split.blocks():
            stop = start + len(codes)
            bundle[f"{name}xdata"][:, :, start:stop] = _one_hot(codes).transpose(2, 1, 0)
            bundle[f"{name}data"][:, start:stop] = labels.T
            start = stop
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by genomeNAS HDF5 schema 1.00 ."
    file.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


def _write_v5(file: IO[bytes], name: str, split: Split) -> None:
    """Writes a v5 file; it is held in memory as a whole."""
    from scipy.io import savemat  # slow: not for --help

    blocks = list(split.blocks())
    sequences = np.concatenate([_one_hot(block.codes) for block in blocks])
    labels = np.concatenate([block.labels for block in blocks]).view(np.uint8)
    variables = {f"{name}xdata": sequences, f"{name}data": labels}
    savemat(file, variables, do_compression=True)
    file.seek(0)  # over the time of writing: the same data make the same bytes
    file.write(b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created by genomeNAS".ljust(116))
