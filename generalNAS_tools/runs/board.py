"""TensorBoard's log of a run: the history's figures, learning rates, configuration and pictures."""

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from generalNAS_tools.files import ranks
from generalNAS_tools.runs.criterion import CRITERIA

log = logging.getLogger(__name__)

PREFIX = "events.out.tfevents."
FIGURES = ("train_loss", "acc_train", *(criterion.column for criterion in CRITERIA.values()))
"""What TensorBoard's table of hyperparameters shows of a run, as it is after the last epoch."""


class Board:
    """Writes TensorBoard's files; a run never dies of it: what goes wrong ends it with one warning.

    The steps are epochs. Every start begins a file, which hides what an earlier process wrote of
    epochs that come again. They are written here, as torch's writer does it in a thread that can't
    tell a full disk without a traceback, and names its files so that those of one second mix.

    Args:
        folder: of these files alone; None writes nothing.
        config: the run's.
        history: of the run so far.
    """

    def __init__(
        self, folder: Path | None, config: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
    ) -> None:
        self._path: Path | None = None
        if folder is None or ranks.number() > 0:
            return
        try:
            from torch.utils.tensorboard import summary  # slow: only where asked for
        except ImportError:
            log.warning("--tensorboard: it is not installed here (pip install tensorboard)")
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        earlier: list[Path] = []
        with self._surviving():
            folder.mkdir(parents=True, exist_ok=True)
            earlier = sorted(folder.glob(f"{PREFIX}*"))
            for path in earlier if not history else ():
                path.unlink()
            number = int(earlier[-1].name.removeprefix(PREFIX)) + 1 if earlier else 0
            self._path = folder / f"{PREFIX}{number:010d}"
            again = SessionLog(status=SessionLog.START)
            shown = {name: _plain(value) for name, value in config.items()}
            start, settings, _ = summary.hparams(shown, dict.fromkeys(FIGURES))
            self._write(
                Event(file_version="brain.Event:2"),
                Event(step=len(history) + 1, session_log=again),
                *(Event(summary=part) for part in (start, settings)),
            )
        for row in history if not earlier else ():
            self.add_epoch(row, {})

    def add_epoch(self, row: Mapping[str, Any], rates: Mapping[str, float]) -> None:
        """Adds an epoch's row of the history, and its learning rates."""
        if self._path is None:
            return
        from torch.utils.tensorboard import summary

        known = {name: value for name, value in row.items() if value is not None}
        self._add(
            row["epoch"],
            (
                (summary.text if isinstance(value, str) else summary.scalar)(name, value)
                for name, value in {**known, **rates}.items()
            ),
        )

    def add_picture(self, name: str, path: Path, step: int) -> None:
        """Adds a picture's file (PNG)."""
        if self._path is None:
            return
        from matplotlib.image import imread
        from torch.utils.tensorboard import summary

        self._add(step, (summary.image(name, imread(p), dataformats="HWC") for p in [path]))

    def _add(self, step: int, summaries: Iterable[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        with self._surviving():
            self._write(*(Event(step=step, summary=summary) for summary in summaries))

    def _write(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._path is not None
        with self._path.open("ab") as file:
            records = RecordWriter(file)
            for event in events:
                event.wall_time = time.time()
                records.write(event.SerializeToString())

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = f"{error}".splitlines()[0]
            log.warning("--tensorboard: %s; the run goes on without it", reason)
            self._path = None


def learning_rates(objects: Mapping[str, Any]) -> dict[str, float]:
    """The rates of the optimizers among objects, by name and number of the group."""
    return {
        f"learning_rate/{name}/{number}": group["lr"]
        for name, target in objects.items()
        if isinstance(target, Optimizer)
        for number, group in enumerate(target.param_groups)
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)
