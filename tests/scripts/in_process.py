"""Runs a script as it is, in this process; knows nothing of what the scripts are made of."""

import contextlib
import io
import logging
import runpy
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).parents[2]
_FOLDERS = ("", "baseline_models", "data_generators", "generalNAS_tools")
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in _FOLDERS
    for path in (ROOT / folder).glob("*.py")
    if "\n    run_command(main)" in path.read_text(encoding="utf-8")
)
"""Every script, by its path in the project."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SIGNALS += (signal.SIGXCPU,)


class Outcome(NamedTuple):
    code: int
    stderr: str


@contextlib.contextmanager
def signals_kept():
    """Puts back whatever handlers the block sets."""
    before = [signal.getsignal(number) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def globals_kept():
    """Puts back torch's determinism and the log's level after the block."""
    root, level = logging.getLogger(), logging.getLogger().level
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        root.setLevel(level)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


def run_script(script, line):
    """Runs a script in this process and puts everything global back as it was."""
    argv, path, handlers = sys.argv, list(sys.path), list(logging.getLogger().handlers)
    stderr, code = io.StringIO(), 0
    sys.argv = [script, *line]
    try:
        with globals_kept(), signals_kept(), contextlib.redirect_stderr(stderr):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    except SystemExit as leave:
        code = leave.code
    finally:
        sys.argv, sys.path[:] = argv, path
        logging.basicConfig(handlers=handlers, force=True)
    return Outcome(code, stderr.getvalue())


def command_line(flags):
    """The words of flags by name; a list is a flag with several values."""
    words = []
    for name, value in flags.items():
        several = isinstance(value, list)
        words += [f"--{name}", *map(str, value)] if several else [f"--{name}={value}"]
    return words
