"""The archive of scored architectures: a table of JSON lines that survives a kill."""

import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from BONAS_search_space.graphs import architecture_key, canonical, check_architecture
from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import atomic_write
from generalNAS_tools.runs.criterion import CRITERIA
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype

logger = logging.getLogger(__name__)


class ScoredArchitecture(NamedTuple):
    """A row of the archive.

    Attributes:
        genotype: the architecture, in canonical form once archived.
        score: its measured quality, 0 to 1, by the criterion.
        seconds: what measuring it took.
        iteration: of the search that measured it; 0 is the initial design.
        criterion: what the score is; rows that don't say hold an F1.
        valid_loss: cross-entropy on the validation set; None if it isn't known or not finite.
        f1: weighted F1 there; None if it isn't known.
        auroc: mean AUROC there; None if it isn't known or defined.
        auprc: mean AUPRC there; likewise.
    """

    genotype: Genotype
    score: float
    seconds: float
    iteration: int
    criterion: str = "f1"
    valid_loss: float | None = None
    f1: float | None = None
    auroc: float | None = None
    auprc: float | None = None


_REQUIRED = set(ScoredArchitecture._fields) - set(ScoredArchitecture._field_defaults)
_FIGURES = ("valid_loss", "f1", "auroc", "auprc")


class Archive:
    """Scored architectures in the order they were added, each once; one run writes at a time.

    A row is written with one flush to the disk, so a killed run leaves at most one torn last
    line, which the next reader drops (with a log line) and the next writer overwrites.

    Args:
        path: the table, made at the first `append` if absent.

    Raises:
        ValueError: naming file and line, when a line other than a torn last one is broken.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._read()

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, genotype: Genotype) -> bool:
        return architecture_key(genotype) in self._lines

    def keys(self) -> set[str]:
        """Keys (`architecture_key`) of all archived architectures."""
        return set(self._lines)

    def best(self) -> ScoredArchitecture:
        """The row with the highest score; there must be rows.

        A tie goes to the lower validation loss, then to the first.
        """
        return min(self.entries, key=rank)

    def tied(self) -> int:
        """How many rows have the highest score."""
        best = self.best().score
        return sum(entry.score == best for entry in self.entries)

    def append(self, entry: ScoredArchitecture) -> None:
        """Adds a row, on disk when this returns.

        Raises:
            ValueError: the architecture is already here, the row is invalid, or the file can't
                be written.
        """
        where = f"{self.path}: new entry"
        line = line_of(entry).encode() + b"\n"
        entry = _parse_row(json.loads(line), where)
        self._refuse_duplicate(entry, where)
        if ranks.number() == 0:
            self._write(line)
        self._add(entry)

    def _write(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(self._size)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"{self.path}: can't be written ({reason})") from error
        self._size += len(line)

    @ranks.first_alone()
    def restore(self, lines: Sequence[str], turn: Sequence[Genotype]) -> bool:
        """Makes the table what a run stood on, and what it scored since then; the rest is lost.

        Lost rows that the run stood on are written again. Of those scored since then all after a
        missing one go, so that whoever scores them again has the same order.

        Args:
            lines: rows that the run stood on.
            turn: the architectures that it scores since then, in order.

        Returns:
            Whether the table was another one before.

        Raises:
            ValueError: the table holds other rows, or can't be written.
        """
        known = [_parse_row(json.loads(line), f"{self.path}: checkpoint") for line in lines]
        rows = {architecture_key(entry.genotype): entry for entry in known}
        keys = [architecture_key(genotype) for genotype in turn]
        for number, entry in enumerate(self.entries, start=1):
            key = architecture_key(entry.genotype)
            if rows.get(key) != entry and (key in rows or key not in keys):
                raise ValueError(
                    f"{self.path}, line {number}: the run's checkpoint knows no such row; put back "
                    "archive and checkpoint of one moment, or start over with --restart"
                )
        whole = self.entries[: len(known)] == known
        since = zip(self.entries[len(known) :] if whole else [], keys, strict=False)
        kept = takewhile(lambda pair: architecture_key(pair[0].genotype) == pair[1], since)
        entries = known + [entry for entry, _ in kept]
        if entries == self.entries:
            return False
        with atomic_write(self.path) as file:
            file.writelines(f"{line_of(entry)}\n".encode() for entry in entries)
        self._read()
        return True

    def _read(self) -> None:
        self.entries: list[ScoredArchitecture] = []
        self._lines: dict[str, int] = {}
        self._size = 0
        try:
            *lines, torn = self.path.read_bytes().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"--archive {self.path}: can't be read ({reason})") from error
        for number, line in enumerate(lines, start=1):
            where = f"{self.path}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not JSON ({error})") from error
            entry = _parse_row(row, where)
            self._refuse_duplicate(entry, where)
            self._add(entry)
            self._size += len(line) + 1
        if torn:
            logger.warning("%s: dropped a torn last line (%d bytes)", self.path, len(torn))

    def _refuse_duplicate(self, entry: ScoredArchitecture, where: str) -> None:
        line = self._lines.get(architecture_key(entry.genotype))
        if line is not None:
            raise ValueError(f"{where}: this architecture already stands in line {line}")

    def _add(self, entry: ScoredArchitecture) -> None:
        self.entries.append(entry)
        self._lines[architecture_key(entry.genotype)] = len(self.entries)


def line_of(entry: ScoredArchitecture) -> str:
    """The row as it stands in the table."""
    return json.dumps({**entry._asdict(), "genotype": canonical(entry.genotype)._asdict()})


def rank(entry: ScoredArchitecture) -> tuple[float, float]:
    """Sorts the best-scored first; a tie goes to the lower validation loss."""
    return -entry.score, math.inf if entry.valid_loss is None else entry.valid_loss


def _parse_row(row: Any, where: str) -> ScoredArchitecture:
    """Checks a row of untrusted JSON."""
    fields = ScoredArchitecture._fields
    if not isinstance(row, dict) or set(row) not in (set(fields), _REQUIRED):
        raise ValueError(f"{where}: expected an object with {', '.join(fields)}")
    genotype = parse_genotype(row["genotype"], source=where)
    check_architecture(genotype, source=where)
    score, seconds, iteration = row["score"], row["seconds"], row["iteration"]
    if not _is_number(score) or not 0 <= score <= 1:
        raise ValueError(f"{where}: score is {score!r}; expected a number from 0 to 1")
    if not _is_number(seconds) or seconds < 0:
        raise ValueError(f"{where}: seconds is {seconds!r}; expected a number from 0")
    if not isinstance(iteration, int) or isinstance(iteration, bool) or iteration < 0:
        raise ValueError(f"{where}: iteration is {iteration!r}; expected an integer from 0")
    entry = ScoredArchitecture(**row)._replace(
        genotype=canonical(genotype), score=float(score), seconds=float(seconds)
    )
    if entry.criterion not in tuple(CRITERIA):
        raise ValueError(
            f"{where}: criterion is {entry.criterion!r}; expected one of {', '.join(CRITERIA)}"
        )
    for name in _FIGURES:
        value = getattr(entry, name)
        if value is not None and not _is_number(value):
            raise ValueError(f"{where}: {name} is {value!r}; expected a number or null")
    return entry


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max
