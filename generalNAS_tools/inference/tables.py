"""Tables of answers, written batch by batch, whole or not at all: TSV, NumPy or HDF5 by suffix.

Dimension letters: N rows, T targets.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.files.atomic_files import atomic_write, check_writable

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Some rows by name: sequences (N,) say which rows, arrays (N, T) or (N, T, ...) are answers."""
Append = Callable[[Columns], None]


def check_table(path: str | Path, *inputs: str) -> None:
    """Checks that a table can be written.

    Raises:
        ValueError: its suffix is unknown, there is no permission, or it is one of the inputs.
    """
    for given in inputs:
        if Path(path).resolve() == Path(given).resolve():
            raise ValueError(f"{path}: is read; expected another file for the answers")
    if Path(path).suffix not in _WRITERS:
        raise ValueError(f"{path}: unknown suffix; expected one of {', '.join(_WRITERS)}")
    check_writable(path)


@contextlib.contextmanager
def open_table(path: str | Path, targets: Sequence[str] = ()) -> Iterator[Append]:
    """Opens a table; what it gives appends rows.

    A TSV has a column per target if there is one array of answers, else a row per target. The
    other kinds hold each array under its name, and the names of the `targets`.

    Raises:
        ValueError: it can't be written.
    """
    with atomic_write(path) as file, _WRITERS[Path(path).suffix](file, targets) as append:
        yield append


@contextlib.contextmanager
def _tsv(file: IO[bytes], targets: Sequence[str]) -> Iterator[Append]:
    names = [" ".join(name.split()) for name in targets]

    def append(columns: Columns) -> None:
        answers = {name: values for name, values in columns.items() if np.ndim(values[0])}
        keys = {name: values for name, values in columns.items() if name not in answers}
        wide = len(answers) == 1
        if not file.tell():
            header = [*keys, *(names if wide else ["target", *answers] if answers else [])]
            _write_line(file, header)
        for number, row in enumerate(zip(*keys.values(), strict=True)):
            if wide or not answers:
                _write_line(file, [*row, *(v for table in answers.values() for v in table[number])])
                continue
            for column, target in enumerate(names):
                values = [table[number][column] for table in answers.values()]
                _write_line(file, [*row, target, *values])

    yield append


def _write_line(file: IO[bytes], values: Sequence[Any]) -> None:
    texts = (f"{v:.6g}" if isinstance(v, float | np.floating) else str(v) for v in values)
    file.write(("\t".join(texts) + "\n").encode())


@contextlib.contextmanager
def _npz(file: IO[bytes], targets: Sequence[str]) -> Iterator[Append]:
    parts: dict[str, list[Any]] = {}

    def append(columns: Columns) -> None:
        for name, values in columns.items():
            parts.setdefault(name, []).append(np.asarray(values))

    yield append
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    np.savez(file, targets=np.array(targets), **arrays)  # type: ignore[arg-type]


@contextlib.contextmanager
def _hdf5(file: IO[bytes], targets: Sequence[str]) -> Iterator[Append]:
    # atomic_write has locked the file, HDF5 can't do it once more.
    with h5py.File(file.name, "w", locking=False) as table:
        table["targets"] = list(targets)

        def append(columns: Columns) -> None:
            for name, given in columns.items():
                values = np.asarray(given)
                kind = h5py.string_dtype() if values.dtype.kind == "U" else values.dtype
                shape = values.shape[1:]
                if name not in table:
                    limits = (None, *shape)
                    table.create_dataset(name, (0, *shape), kind, maxshape=limits, chunks=True)
                data = table[name]
                data.resize(len(data) + len(values), axis=0)
                data[len(data) - len(values) :] = values.astype(kind)

        yield append


_WRITERS: dict[str, Callable[[IO[bytes], Sequence[str]], AbstractContextManager[Append]]] = {
    ".tsv": _tsv,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
