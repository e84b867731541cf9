"""One turn of a sampled candidate: the process that a search starts for it.

python -m randomSearch_and_Hyperband_Tools.one_candidate --candidate=3 ...
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, whole
from randomSearch_and_Hyperband_Tools.candidates import (
    load_candidate,
    start_candidate,
    train_epochs,
)
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import SampledOptions


@dataclass(frozen=True, kw_only=True)
class TurnOptions:
    """Whose turn it is."""

    title: ClassVar = "turn"
    candidate: int = flag(whole(0), ..., "its number, from 0")
    begin: int = flag(whole(0), ..., "epochs of the search before this turn")
    first: int = flag(whole(0), 0, "epochs that the candidate has had")
    until: int = flag(whole(1), ..., "epochs that it has had in the end")
    state: str | None = flag(str, None, "file with its state after the first ones")


@dataclass(frozen=True, kw_only=True)
class Options(SampledOptions):
    """The flags of a turn."""

    turn: TurnOptions


def main() -> None:
    """Trains the candidate; its checkpoint and its history are the result."""
    options = parse_options(Options, __doc__)
    turn, rng = options.turn, np.random.default_rng(options.run.seed)
    genotype = distinct_genotypes(rng, turn.candidate + 1)[-1]
    setup = set_up(options, "candidate")
    setup.run.epochs_before = turn.begin
    candidate = start_candidate(turn.candidate, genotype, setup, options)
    if turn.state and not setup.run.continues:
        load_candidate(Path(turn.state), candidate, setup.device)
    setup.run.track(**candidate.stateful())
    train_epochs(candidate, setup, epochs=turn.until, first=turn.first)


if __name__ == "__main__":
    run_command(main)
