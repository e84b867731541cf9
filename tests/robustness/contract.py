"""The contract of every script with bad input, and how one command line is held to it.

Exit code 2 and one line on stderr that names the value or the file; no traceback; what stood on
disk stays, and nothing half-written is added; all within a minute.
"""

import re
import signal
import traceback
from pathlib import Path
from typing import NamedTuple

from tests.scripts.in_process import run_script

SECONDS = 60
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
"""How a line of the log begins."""
_WHOLE = re.compile(r"\.(packed|fai)$|^log-|^config-|^\.[^/]*\.lock$")
"""Files that may be there after a refusal: whole caches and indices, and what a run begins with."""


class Case(NamedTuple):
    """A command line, and what its refusal must name (any of them).

    With `codes` other than 2 alone the input is odd but allowed.
    """

    script: str
    line: list
    names: tuple
    codes: frozenset = frozenset({2})

    def __str__(self):
        return f"{self.script} {' '.join(map(str, self.line))}"


class TooLongError(BaseException):
    """The minute is over; nothing of ours catches it."""


def breach(case, folder):
    """How a case breaks the contract in a folder that holds all its files; None if it doesn't."""
    before = contents(folder)
    try:
        outcome = _within_a_minute(case)
    except TooLongError:
        return f"not done after {SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    changes = _changes(before, contents(folder)) if outcome.code == 2 else None
    return _complaint(case, outcome) or changes


def contents(folder):
    """What lies in a folder, by path: "folder", or what changes with a file's content."""
    found = {}
    for path in Path(folder).rglob("*"):
        stat = path.lstat()
        changes = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        found[str(path.relative_to(folder))] = "folder" if path.is_dir() else changes
    return found


def _within_a_minute(case):
    def stop(number, frame):
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        return run_script(case.script, [str(word) for word in case.line])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _complaint(case, outcome):
    if outcome.code not in case.codes:
        return f"exit code {outcome.code}: {outcome.stderr[-600:]}"
    if "Traceback" in outcome.stderr:
        return outcome.stderr
    if outcome.code == 0:
        return None
    said = [line for line in outcome.stderr.splitlines() if not _LOGGED.match(line)]
    if len(said) != 1:
        return f"{len(said)} lines: {outcome.stderr[-600:]}"
    if not said[0].isprintable():
        return f"steers the terminal: {said[0]!r}"
    if case.codes == {2} and not any(str(name) in said[0] for name in case.names):
        return f"names none of {case.names}: {said[0]}"
    return None


def _changes(before, after):
    """What was changed or half-written, apart from the log and what is whole."""
    for name, content in after.items():
        new = name not in before
        if new and content != "folder" and not _WHOLE.search(Path(name).name):
            return f"left {name}"
        if not new and content != before[name] and not _WHOLE.search(Path(name).name):
            return f"changed {name}"
    gone = [name for name in before.keys() - after.keys() if not name.endswith(".packed")]
    return f"removed {', '.join(gone)}" if gone else None
