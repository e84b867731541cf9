"""Reports to the one who watches: standard error, which may go away, and bars on it."""

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


class _Stderr:
    """Standard error as it is now; once it is gone (a pipe, a terminal), all is dropped.

    Attributes:
        quiet: drop all from now on, as ranks other than rank 0 do.
    """

    quiet = False

    def write(self, text: str) -> int:
        """Writes at once."""
        if self.quiet:
            return len(text)
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # ValueError: closed; AttributeError: None
            # Python ends with an error if what the old one still holds can't be written.
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


STDERR = _Stderr()


def say(text: str) -> None:
    """Writes one line; what a damaged file brings along can't steer the terminal."""
    line = " ".join(text.split())
    STDERR.write("".join(char if char.isprintable() else "?" for char in line) + "\n")


def keep_descriptors() -> None:
    """Fills standard streams that the shell closed: else the next file opened would be one."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def progress_bar(items: Iterable[Any] | None = None, **options: Any) -> Any:
    """A tqdm bar, silent where standard error is no terminal; options are tqdm's."""
    STDERR.write("")  # finds out whether it is still there
    silent = True if STDERR.quiet else None  # None: where it is no terminal
    return tqdm(items, file=STDERR, disable=silent, dynamic_ncols=True, **options)
