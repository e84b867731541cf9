"""The files of a run: their names, their folder, and how each is written."""

import contextlib
import csv
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import atomic_write, lock_file, write_array
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


class RunFiles:
    """Names and writes the files of the run `save` of a method, within one folder.

    Raises:
        ValueError: the folder can't be used, or another process runs under the same name.
    """

    def __init__(self, folder: str, *, save: str, method: str) -> None:
        if not save or "/" in save:
            raise ValueError(f"--save {save!r}: expected a name without a slash")
        self.folder, self.save, self.method = Path(folder), save, method
        self._lock = self._claim_folder() if ranks.number() == 0 else None

    def path(self, name: str, ending: str = "npy") -> Path:
        """Path of one of the run's files."""
        return self.folder / f"{name}-{self.save}.{ending}"

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

    def _claim_folder(self) -> IO[str]:
        """Makes the folder and locks the run's name, so that no two processes mix files."""
        path = self.folder / f".{self.save}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("w")
            if lock_file(lock):
                self._remove_leftovers()
            else:
                log.warning("%s: no locks here, so don't run this twice at a time", path)
        except BlockingIOError as error:
            lock.close()
            raise ValueError(
                f"{path}: another process is running this; give another --save or --save_dir"
            ) from error
        except OSError as error:
            raise ValueError(f"--save_dir {self.folder}: {error.strerror or error}") from error
        return lock

    def _remove_leftovers(self) -> None:
        """Removes what a killed process of this run had half-written."""
        name = re.compile(rf"\.[^-]+-{re.escape(self.save)}\.[a-z]+\.[^.]*\.[^.]+\.part")
        for path in self.folder.glob(".*.part"):
            if name.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()
