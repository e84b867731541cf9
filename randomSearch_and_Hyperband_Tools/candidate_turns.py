"""The turns of sampled candidates: taken here one after the other, or by other processes.

Others train all candidates of a rung at a time, each as a run in a folder of its own; the search
then takes over what they did in the order in which it would have trained them itself, and ends
with the same bytes. The order of the sequences depends on the epochs of a search before a turn: if
a candidate diverges, those behind it that took its epochs for granted are trained again.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import load_checkpoint, save_weights
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.flags import as_config
from generalNAS_tools.runs.signals import on_stop, stop_at_once
from generalNAS_tools.search_space.genotypes import Genotype
from generalNAS_tools.workers.dispatch import do
from generalNAS_tools.workers.processes import SAVE, Processes, await_free, command_line
from generalNAS_tools.workers.tasks import FINISHED, read_state, write_state
from randomSearch_and_Hyperband_Tools.candidates import (
    CandidateStore,
    score_of,
    start_candidate,
    train_candidate,
)
from randomSearch_and_Hyperband_Tools.sampling_options import SampledOptions, SharedOptions
from randomSearch_and_Hyperband_Tools.scores import Score, Scores

_SCRIPT = "randomSearch_and_Hyperband_Tools.one_candidate"
_PATHS = ("train_directory", "valid_directory", "test_directory", "cache_dir")


@dataclass(frozen=True)
class Turn:
    """A candidate's turn as a task.

    Attributes:
        number: of the candidate, from 0.
        folder: of its run.
        line: what runs it, but for the device.
        data: fingerprints, which with the line say what is trained.
        device: where the worker has none of its own.
        threads: CPU threads.
    """

    number: int
    folder: Path
    line: tuple[str, ...]
    data: tuple[str, ...]
    device: str
    threads: int

    @property
    def name(self) -> str:
        """As it is called in logs."""
        return f"candidate {self.number + 1}"

    @property
    def checkpoint(self) -> Path:
        """What is left of it, until the search has taken it over."""
        return self.folder / f"checkpoint-{SAVE}.pt"

    @property
    def state(self) -> dict[str, Any]:
        """How far it is; empty where its folder holds another one."""
        state = read_state(self.folder)
        return state if state.get("line") == [*self.line, *self.data] else {}

    @property
    def finished(self) -> bool:
        """Whether it can be taken over; without a checkpoint it diverged in its first epoch."""
        status = self.state.get("status")
        return status in FINISHED and (status == "diverged" or self.checkpoint.exists())

    def work(self, processes: Processes, device: str) -> None:
        """Does what is left of it."""
        what = {"line": [*self.line, *self.data]}
        if self.finished:
            return
        if not self.state and self.folder.exists():
            await_free(self.folder / f".{SAVE}.lock")
            shutil.rmtree(self.folder)
        write_state(self.folder, {"status": "running", "reason": "", **what})
        line = [*self.line, f"--device={self.device if device == 'auto' else device}"]
        end = processes.run(line, threads=self.threads, folder=self.folder)
        write_state(self.folder, {"status": end.status, "reason": end.reason, **what})


class CandidateTurns:
    """Trains candidates turn by turn, where --workers and --cluster say.

    Args:
        genotypes: of all candidates.
        scores: of all turns so far, which belong to every checkpoint.
        setup: data and options of the run.
        options: of the search.

    Raises:
        ValueError: torchrun's ranks and workers at a time.
    """

    def __init__(
        self, genotypes: Sequence[Genotype], scores: Scores, setup: Setup, options: SharedOptions
    ) -> None:
        self._genotypes, self._scores, self._setup = genotypes, scores, setup
        self._options, self._store = options, CandidateStore(setup.run)
        self._elsewhere = options.elsewhere
        files = setup.run.files
        self._folder = files.folder.resolve() / f"candidates-{files.save}"
        if self._elsewhere and ranks.count() > 1:
            raise ValueError("--workers, --devices and --cluster: expected no ranks of torchrun")
        if options.run.restart and self._folder.exists() and ranks.number() == 0:
            for lock in self._folder.glob(f"*/.{SAVE}.lock"):
                await_free(lock)
            shutil.rmtree(self._folder)

    def train(
        self, numbers: Sequence[int], *, epochs: int, first: int = 0, keep: bool = False
    ) -> Score:
        """Trains a candidate until it has had `epochs` epochs.

        Args:
            numbers: the candidate's, and those of all that have the same turn after it.
            epochs: the total, earlier turns included.
            first: the epochs of earlier turns.
            keep: it waits for a further turn.
        """
        if self._elsewhere:
            return self._take(numbers, epochs, first, keep)
        setup, number = self._setup, numbers[0]
        candidate = start_candidate(number, self._genotypes[number], setup, self._options)
        if first:
            self._store.bring_back(candidate)
        setup.run.track(**candidate.stateful(), scores=self._scores)
        score = train_candidate(candidate, setup, epochs=epochs, first=first)
        if keep:
            self._store.keep(candidate)
        return score

    def dismiss(self, numbers: Sequence[int]) -> None:
        """Forgets candidates that are out."""
        self._store.dismiss(numbers)

    def _take(self, numbers: Sequence[int], epochs: int, first: int, keep: bool) -> Score:
        """Takes over what another process did, or has all of `numbers` done."""
        run, number = self._setup.run, numbers[0]
        run.track(scores=self._scores)
        left, diverged = len(list(run.epochs(epochs, first))), False
        if left:
            done = epochs - first - left
            begin = len(run.history) - done
            turn = self._trained(numbers, begin, first, epochs)
            diverged = turn.state["status"] == "diverged"
            if turn.checkpoint.exists():
                state = load_checkpoint(turn.checkpoint)
                if rows := state["history"][done:]:
                    run.take_over(rows, state)
            if not diverged:
                turn.checkpoint.unlink(missing_ok=True)
        if keep and not diverged:
            state = load_checkpoint(run.files.path("checkpoint", "pt"))
            state["objects"].pop("scores")
            save_weights(self._store.path(number), state["objects"] | {"random": state["random"]})
        with torch.device("meta"):  # its size alone counts
            network = FinalNetwork(self._genotypes[number], self._setup.network)
        return score_of(number, network, run, diverged=diverged)

    def _trained(self, numbers: Sequence[int], begin: int, first: int, epochs: int) -> Turn:
        """The first of some turns; all are done if it isn't.

        Raises:
            ValueError: one failed.
        """
        turns = [
            self._turn(number, begin + i * (epochs - first), first, epochs)
            for i, number in enumerate(numbers)
        ]
        if not turns[0].finished:
            left = [turn for turn in turns if not turn.finished]
            on_stop(stop_at_once)  # here nothing has to be saved
            do(left, self._folder, self._options, threads=self._options.threads)
            for turn in left:
                if not turn.finished:
                    reason = turn.state.get("reason") or "it ended without a result"
                    raise ValueError(f"{turn.name}: {reason}; the same command goes on")
        return turns[0]

    def _turn(self, number: int, begin: int, first: int, epochs: int) -> Turn:
        options, splits = self._options, self._setup.splits
        of_all = {f.name: getattr(options, f.name) for f in fields(SampledOptions)}
        flags = as_config(SampledOptions(**of_all))
        flags |= {name: str(Path(flags[name]).resolve()) for name in _PATHS if flags[name]}
        folder = self._folder / f"{number + 1}-epoch-{begin + 1}"
        flags |= {"save_dir": folder, "save": SAVE, "restart": False, "tensorboard": False}
        flags |= {"candidate": number, "begin": begin, "first": first, "until": epochs}
        flags |= {"state": self._store.path(number).resolve() if first else None}
        assert self._elsewhere
        device = flags.pop("device")
        return Turn(
            number,
            folder,
            ("-m", *command_line(_SCRIPT, flags)),
            (splits.train.fingerprint, splits.valid.fingerprint),
            device=self._elsewhere if device == "auto" else device,
            threads=options.threads,
        )
