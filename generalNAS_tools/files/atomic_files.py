"""Writing a file whole or not at all."""

import contextlib
import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import numpy as np
from numpy.typing import ArrayLike

_LEFT_SECONDS = 60
"""Age from which a temporary file without a lock counts as left by a killed process."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` that replaces it when the block ends well.

    Whatever goes wrong (a full disk, an exception, a kill), `path` holds either its old
    content or the whole new one. What killed processes left of it is removed.

    Raises:
        ValueError: naming the file, when it can't be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        with temporary.open("wb") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save on a full disk raises a RuntimeError while it handles the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise ValueError(f"{path}: can't be written ({cause.strerror or cause})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Checks that a file can be written, before hours are spent on what goes into it.

    Raises:
        ValueError: naming the file, when it can't be written.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path}: can't be written (it is no regular file)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"{path}: can't be written ({error.strerror or error})") from error


def write_array(path: str | os.PathLike[str], values: ArrayLike) -> None:
    """Writes an array file (.npy) atomically and without pickle.

    Raises:
        ValueError: naming the file, when it can't be written.
    """
    with atomic_write(path) as file:
        # Hides that it is a file: numpy would write past Python and not notice a full disk.
        np.save(SimpleNamespace(write=file.write), np.asarray(values), allow_pickle=False)


def _remove_leftovers(path: Path) -> None:
    """Removes the temporary files of killed writers; a living one holds a lock on its own."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError), leftover.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > _LEFT_SECONDS:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
