"""Writing a file whole or not at all.

By hand: tempfile locks nothing, so what a killed run left would look like what another is writing;
filelock locks a path beside, not the open file that is about to be renamed.
"""

import contextlib
import errno
import fcntl
import glob
import logging
import os
import platform
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike

from generalNAS_tools.files import ranks

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a file system without locks answers (Lustre, NFS without its lock service)."""
_FOREIGN_SECONDS = 600
"""Age from which another machine's temporary file counts as left: its lock may not reach us."""


def check_file(path: str | os.PathLike[str], expected: str) -> None:
    """Checks that a file is there and may be read.

    Raises:
        ValueError: naming the file, the reason, and what was expected.
    """
    reason = "no such file"
    try:
        if Path(path).is_file():
            if os.access(path, os.R_OK):
                return
            reason = "can't be read (permission denied)"
    except OSError as error:  # a folder that may not be entered, a name that is too long
        reason = f"can't be read ({error.strerror})"
    raise ValueError(f"{path}: {reason}; expected {expected}")


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Turns whatever reading a damaged file raises into one line that names it.

    Raises:
        ValueError: the block raised any exception.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not {what}, or damaged ({reason})") from error


def lock_file(file: IO[Any]) -> bool:
    """Locks an open file until it is closed; False where the file system has no locks.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it can't be locked for another reason.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def hold(path: Path, flags: str) -> IO[str] | None:
    """Takes a lock file, made if absent, until it is closed; None, with a warning, without locks.

    Args:
        path: of the lock.
        flags: by which the user names something else.

    Raises:
        ValueError: another process holds it.
        OSError: it can't be made.
    """
    lock = path.open("w")
    try:
        if lock_file(lock):
            return lock
    except BlockingIOError as error:
        lock.close()
        raise ValueError(
            f"{path}: another process is running this; give another {flags}"
        ) from error
    log.warning("%s: no locks here, so don't run this twice at a time", path)
    return None


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` that replaces it when the block ends well.

    Whatever goes wrong (a full disk, an exception, a kill), `path` holds either its old
    content or the whole new one. What killed processes left of it is removed. Of several ranks
    rank 0 alone writes.

    Raises:
        ValueError: naming the file, when it can't be written.
    """
    if ranks.number() > 0:
        with open(os.devnull, "wb") as nothing:
            yield nothing
        return
    path = Path(path)
    temporary = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        with _open_temporary(path) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)  # before its lock goes, or it would count as left
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save on a full disk raises a RuntimeError while it handles the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise ValueError(f"{path}: can't be written ({cause.strerror or cause})") from error
    finally:
        if temporary != path:
            with contextlib.suppress(OSError):
                temporary.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Checks that a file can be written, before hours are spent on what goes into it.

    Its folder may be missing, and is not made.

    Raises:
        ValueError: naming the file, when it can't be written.
    """
    path = Path(path)
    if ranks.number() > 0:
        return
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path}: can't be written (it is no regular file)")
        folder = next(parent for parent in path.parents if parent.exists())
        with _open_temporary(folder / path.name) as file:  # whose name is longer
            Path(file.name).unlink()
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


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files of killed writers; a living one holds a lock on its own."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError), leftover.open("r+b") as file:
            old = time.time() - os.fstat(file.fileno()).st_mtime > _FOREIGN_SECONDS
            if (old or leftover.name.startswith(_prefix(path))) and lock_file(file):
                leftover.unlink()


def _prefix(path: Path) -> str:
    """How the temporary files of this machine for `path` begin."""
    return f".{path.name}.{platform.node().split('.')[0][:16]}."


def _open_temporary(path: Path) -> IO[bytes]:
    """A new locked file; drawn by chance, as process numbers repeat between containers."""
    while True:
        temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.part")
        file = temporary.open("xb")
        with contextlib.suppress(BlockingIOError):
            lock_file(file)
            if temporary.exists():  # nobody took it for a leftover before it was locked
                return file
        file.close()


def _sync_folder(folder: Path) -> None:
    """Makes the new name last; some file systems refuse, and the file is in place anyway."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
