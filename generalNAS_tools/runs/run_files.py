"""The files of a run: their names, their folder, and how each is written."""

import contextlib
import csv
import io
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import atomic_write, check_writable, hold, write_array
from generalNAS_tools.files.genotype_files import write_genotype
from generalNAS_tools.search_space.genotypes import Genotype

log = logging.getLogger(__name__)

ARRAYS = {
    "train_loss": "train_loss",
    "acc_train": "acc_train",
    "valid_loss": "valid_loss",
    "acc_valid": "acc_valid",
    "time": "seconds",
}
"""Names of the array files and the history columns they hold."""
ENDINGS = ("npy", "csv", "json", "jsonl", "txt", "png", "pt", "pth")
"""Of the files that runs write."""
MAX_NAME_BYTES = 150
"""Of a run's name: file systems take 255, of which what stands around it needs the rest."""


def check_name(save: str) -> None:
    """Checks a run's name, of which those of its files are made.

    Raises:
        ValueError: it is none.
    """
    if not save or "/" in save:
        raise ValueError(f"--save {save!r}: expected a name without a slash")
    if len(os.fsencode(save)) > MAX_NAME_BYTES:
        raise ValueError(f"--save {save!r}: expected a name of {MAX_NAME_BYTES} bytes at most")


class RunFiles:
    """Names and writes the files of the run `save` of a method, within one folder.

    Raises:
        ValueError: the folder can't be used, something else than a file has the name of one of the
            run's, or another process runs under the same name.
    """

    def __init__(self, folder: str, *, save: str, method: str) -> None:
        check_name(save)
        self.folder, self.save, self.method = Path(folder), save, method
        self._own = rf"[^-]+-{re.escape(save)}\.({'|'.join(ENDINGS)})"
        self._lock = self._claim_folder() if ranks.number() == 0 else None
        self._model_lock: IO[str] | None = None

    def path(self, name: str, ending: str = "npy") -> Path:
        """Path of one of the run's files."""
        return self.folder / f"{name}-{self.save}.{ending}"

    @property
    def board_folder(self) -> Path:
        """Folder of what TensorBoard reads."""
        return self.folder / f"tensorboard-{self.save}"

    def owns(self, path: Path) -> bool:
        """Whether a path has the name of one of the run's files, written already or not."""
        path = path.resolve()
        return path.parent == self.folder.resolve() and bool(re.fullmatch(self._own, path.name))

    def hold_model(self, path: Path) -> None:
        """Locks the run's model file, which may lie anywhere.

        Raises:
            ValueError: another run writes it.
        """
        if self._lock is not None:  # else the user knows already
            path = path.resolve()
            self._model_lock = hold(path.with_name(f".{path.name}.model.lock"), "--model_path")

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes the history as CSV and as the array files."""
        self.write_table("history", history)
        for name, column in ARRAYS.items():
            values = [row[column] for row in history if row.get(column) is not None]
            self.write_array(name, values)

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes rows as CSV; a column for every key."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        with atomic_write(self.path(name, "csv")) as file:
            file.write(text.getvalue().encode())

    def write_array(self, name: str, values: Any) -> None:
        """Writes numbers as an array file."""
        write_array(self.path(name), values)

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file; NaN is refused."""
        text = json.dumps(value, indent=1, allow_nan=False)
        with atomic_write(self.path(name, "json")) as file:
            file.write(text.encode() + b"\n")

    def write_genotype(self, genotype: Genotype) -> None:
        """Writes the run's result."""
        path = self.path(f"{self.method}_geno")
        write_genotype(path, genotype)
        log.info("genotype written to %s", path)

    def _claim_folder(self) -> IO[str] | None:
        """Makes the folder and locks the run's name, so that no two processes mix files."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = hold(self.folder / f".{self.save}.lock", "--save or --save_dir")
            if lock is not None:
                self._remove_leftovers()
            for path in self.folder.iterdir():
                if self.owns(path) and not path.is_file():
                    check_writable(path)
        except OSError as error:
            raise ValueError(f"--save_dir {self.folder}: {error.strerror or error}") from error
        return lock

    def _remove_leftovers(self) -> None:
        """Removes what a killed process of this run had half-written."""
        for path in self.folder.glob(".*.part"):
            if re.fullmatch(rf"\.{self._own}\.[^.]*\.[^.]+\.part", path.name):
                with contextlib.suppress(OSError):
                    path.unlink()
