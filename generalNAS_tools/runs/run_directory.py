"""Everything a run writes, and how it goes on after an interruption.

One checkpoint, written atomically after every epoch and at a signal to stop, holds all that the
next step depends on: the same command, run again, ends with the bytes of an undisturbed run.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import (
    all_finite,
    check_same_state,
    load_checkpoint,
    random_states,
    save_weights,
    set_random_states,
)
from generalNAS_tools.runs.board import Board, learning_rates
from generalNAS_tools.runs.changes import Stateful, change_column, continued, load_states
from generalNAS_tools.runs.divergence import Diverged, how_to_go_on, name_moment
from generalNAS_tools.runs.position import Position
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.runs.run_log import Clock, open_log
from generalNAS_tools.runs.signals import Stopped, on_stop

log = logging.getLogger(__name__)


class RunDirectory(Position):
    """The files of one run, named by `save` within `folder`.

    Args:
        folder: made if absent.
        save: the run's name; several runs share a folder under different names.
        method: first part of the genotype's file name (darts, pdarts, ...).
        config: every flag, and the data's fingerprints.
        device: whose random state belongs to the run.
        restart: throws away what an interrupted run left, at the first `track`.

    Attributes:
        files: names and writes them.
        history: one row an epoch.
        epochs_before: of the search that this run is a part of; they decide the order of its data.
        partial: state of the epoch that a signal interrupted, else None.

    Raises:
        ValueError: folder or checkpoint can't be used; the message names the flag that differs.
    """

    def __init__(
        self,
        folder: str,
        *,
        save: str,
        method: str,
        config: Mapping[str, Any],
        device: torch.device,
        restart: bool = False,
    ) -> None:
        super().__init__()
        self.files = RunFiles(folder, save=save, method=method)
        self.config = json.loads(json.dumps({"kind of run": method, **config}))
        self.history: list[dict[str, Any]] = []
        self.epochs_before = 0
        self.device = device
        self.partial: dict[str, Any] | None = None
        self.stop_signal: int | None = None
        self._tracked: dict[str, Stateful] = {}
        self._saved: dict[str, Any] | None = None
        self._kept: str | None = None
        self._resumed = False
        self._checkpoint = self.files.path("checkpoint", "pt")
        self._restart = restart
        if self._checkpoint.exists() and not restart:
            self._load()
        open_log(self.files.path("log", "txt"))
        self.clock = Clock(self.partial["seconds"] if self.partial else 0.0)
        self.files.write_json("config", self.config)
        self._board = Board(self.files.board_folder, self.config, self.history)
        if self.history:
            self.files.write_history(self.history)
        on_stop(self._ask_to_stop)

    def track(self, **objects: Stateful) -> None:
        """Names the objects that the next epochs change; takes their saved state back.

        They replace those tracked before; the first call after a start goes on from a checkpoint.

        Raises:
            ValueError: the saved state doesn't fit.
        """
        self._tracked = dict(objects)
        if self._restart and ranks.number() == 0:
            self._checkpoint.unlink(missing_ok=True)
            self._restart = False
        saved, self._saved = self._saved, None
        if saved is None:
            return
        try:
            load_states(objects, saved["objects"])
            set_random_states(saved["random"], self.device)
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = "doesn't fit this command; start over with --restart"
            raise ValueError(f"{self._checkpoint}: {reason}") from error
        self._resumed = True

    @property
    def continues(self) -> bool:
        """Whether the next `track` will take back a saved state."""
        return self._saved is not None

    def begin_epoch(self) -> int:
        """Gives the epoch's number, from 0; says so where an interrupted run goes on."""
        if self._resumed:
            log.info("continuing at epoch %d", len(self.history) + 1)
        self._resumed = False
        self._board.rates = learning_rates(self._tracked)
        return self.epochs_before + len(self.history)

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        """Adds a row to the history and saves everything; the stage's next epoch follows.

        Args:
            row: the epoch's figures; None for those not measured.

        Raises:
            Diverged: a loss or a weight is not finite; the last good checkpoint stays.
        """
        self.check_finite(row)
        check_same_state(self._tracked)
        self._add_row(row, round(self.clock.epoch_seconds(), 3))
        self.save_checkpoint()
        self.files.write_history(self.history)
        log.info("%s", self.clock.line(self.history))
        self.stop_if_asked()

    def take_over(self, rows: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> None:
        """Adds epochs that another process did for this run, and saves them with its state.

        Args:
            rows: of its history.
            state: its checkpoint after them, whose objects go into the one of this run.
        """
        for row in rows:
            figures = {name: value for name, value in row.items() if name != "epoch"}
            self._add_row(figures, figures.pop("seconds"))
            log.info("%s", self.clock.line(self.history))
        self.save_checkpoint(state)
        self.files.write_history(self.history)

    def draw(self, name: str, picture: Callable[..., None], *what: Any, **options: Any) -> None:
        """Draws one of the run's pictures, by a function that takes a `path` too."""
        path = self.files.path(name, "png")
        picture(*what, path=path, **options)
        self._board.add_picture(name, path, step=len(self.history) + 1)  # hides as an epoch does

    def check_finite(self, row: Mapping[str, Any]) -> None:
        """Checks an epoch's losses and all weights.

        Raises:
            Diverged: one is not finite; the last good checkpoint stays.
        """
        for name in ("train_loss", "valid_loss"):
            if row.get(name) is not None and not math.isfinite(row[name]):
                raise self._not_finite(f"{name} is {row[name]}")
        self._check_weights()

    def stop_if_asked(self, partial: dict[str, Any] | None = None) -> None:
        """Saves and leaves, if a signal asked for it.

        Args:
            partial: state of the current epoch so far.

        Raises:
            Stopped: after saving.
        """
        self.partial = partial or self.partial
        number = ranks.largest(self.stop_signal or 0)
        if not number:
            return
        if self.partial is not None:
            self._check_weights()
            if not all_finite(self.partial):
                raise self._not_finite("train_loss is not finite")
            self.partial["seconds"] = self.clock.epoch_seconds()
            self.save_checkpoint()
        raise Stopped(number)

    def report_step(self, step: int, steps: int, loss: float) -> None:
        """Logs how far the epoch is.

        Raises:
            Diverged: the loss is not finite; the last good checkpoint stays.
        """
        if not math.isfinite(loss):
            raise self._not_finite(f"train_loss is {loss} at step {step}")
        log.info("%s", self.clock.step_line(len(self.history) + 1, step, steps, loss=loss))

    def save_checkpoint(self, others: Mapping[str, Any] | None = None) -> None:
        """Writes all state atomically; that of another process's checkpoint goes along."""
        if self._saved is not None:
            raise RuntimeError("track() the objects before saving")
        objects = {name: target.state_dict() for name, target in self._tracked.items()}
        others = others or {"objects": {}, "random": random_states(self.device)}
        state = {
            "config": self.config,
            "position": self.place,
            "history": self.history,
            "partial": self.partial,
            "objects": {**others["objects"], **objects},
            "random": others["random"],
        }
        save_weights(self._checkpoint, state)
        self._kept = name_moment(len(self.history), self.partial)

    def _add_row(self, row: Mapping[str, Any], seconds: float) -> None:
        epoch = len(self.history) + 1
        change = change_column(self.config, epoch)
        self.history.append({"epoch": epoch, **row, **change, "seconds": seconds})
        self.partial = None
        self.place["epoch"] = self.place.get("epoch", 0) + 1
        self._board.add_epoch(self.history[-1])  # one that comes again is hidden then

    def _load(self) -> None:
        state = load_checkpoint(self._checkpoint)
        self.place, self.history = state["position"], state["history"]
        self.config = continued(
            state["config"], self.config, source=self._checkpoint, epoch=len(self.history) + 1
        )
        self.partial, self._saved = state["partial"], state
        self._kept = name_moment(len(self.history), self.partial)

    def _check_weights(self) -> None:
        for name, target in self._tracked.items():
            if not all_finite(target.state_dict()):
                raise self._not_finite(f"the state of the {name} is not finite")

    def _not_finite(self, what: str) -> Diverged:
        advice = how_to_go_on(self.config, self._checkpoint, self._kept)
        return Diverged(f"epoch {len(self.history) + 1}: {what}", advice)

    def _ask_to_stop(self, number: int) -> None:
        """Remembers the signal; the loop saves and leaves after its step."""
        self.stop_signal = number
