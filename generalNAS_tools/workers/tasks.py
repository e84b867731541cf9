"""Tasks: pieces of work that are done in a folder of their own and leave their state there."""

import csv
import json
from pathlib import Path
from typing import Any, Protocol

from generalNAS_tools.files.atomic_files import atomic_write, reading
from generalNAS_tools.workers.processes import SAVE, Processes

FINISHED = {"done", "diverged"}
"""What the same command doesn't try again: the same numbers would diverge again."""
HISTORY = f"history-{SAVE}.csv"
"""Of every run that a task starts."""


class Task(Protocol):
    """Something that is done in a folder of its own, here or elsewhere, and leaves its state."""

    @property
    def name(self) -> str:
        """As it is called in logs."""

    @property
    def folder(self) -> Path:
        """Where it works."""

    def work(self, processes: Processes, device: str) -> None:
        """Does what is left; its state goes to the folder's run.json."""


def read_state(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """What run.json, or a like file, says; empty where nothing has begun.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / name
    if not path.exists():
        return {}
    with reading(path, "the state of a run"):
        return {**json.loads(path.read_text(encoding="utf-8"))}


def write_state(folder: Path, state: dict[str, Any], name: str = "run.json") -> dict[str, Any]:
    """Writes run.json, or a like file; gives the state back."""
    with atomic_write(folder / name) as file:
        file.write(json.dumps(state, indent=1).encode() + b"\n")
    return state


def read_history(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's history so far, each with its seconds.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / HISTORY
    if not path.exists():
        return []
    with reading(path, "a history"), path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
        for row in rows:
            float(row["seconds"])
        return rows
