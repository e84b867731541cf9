"""Hyperband-NAS: many sampled architectures trained for a little, the better half for more.

Successive halving (Jamieson & Talwalkar, AISTATS 2016): in every rung each architecture trains
--budget more epochs, then the better half by --criterion goes on with its weights, optimizer and
schedule. Several --brackets share the same total of epochs between wide and long rungs
(Li et al., Hyperband, JMLR 2018).
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from generalNAS_tools.pictures.pictures import draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, whole
from randomSearch_and_Hyperband_Tools.candidate_turns import CandidateTurns
from randomSearch_and_Hyperband_Tools.halving import MAX_RUNGS, hyperband_plans, plan_epochs
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import SharedOptions
from randomSearch_and_Hyperband_Tools.score_pictures import draw_halving, draw_scores
from randomSearch_and_Hyperband_Tools.scores import Scores


@dataclass(frozen=True, kw_only=True)
class HalvingOptions:
    """The rungs."""

    title: ClassVar = "halving"
    budget: int = flag(whole(1), 3, "epochs of a candidate in every rung")
    iterations: int = flag(whole(1, MAX_RUNGS), 3, "halvings; who is left trains in one rung more")
    brackets: int = flag(whole(1, MAX_RUNGS), 1, "brackets of Hyperband; 1: only halving")


@dataclass(frozen=True, kw_only=True)
class Options(SharedOptions):
    """The flags of this script."""

    halving: HalvingOptions


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(
        Options, __doc__, save_dir="results/hb_search", epochs=20, num_samples=25
    )
    plans = hyperband_plans(options.sampling.num_samples, **asdict(options.halving))
    starts = np.cumsum([0, *(plan[0].candidates for plan in plans)]).tolist()
    genotypes = distinct_genotypes(np.random.default_rng(options.run.seed), starts[-1])
    setup = set_up(options, "hb", elsewhere=options.elsewhere)
    run, scores = setup.run, Scores(options.score.criterion)
    turns = CandidateTurns(genotypes, scores, setup, options)
    run.clock.total_epochs = sum(map(plan_epochs, plans))

    for bracket, plan in run.through("bracket", plans):
        alive = list(range(starts[bracket], starts[bracket + 1]))
        for number, rung in run.through("rung", plan):
            alive = run.remember("alive", alive.copy)
            trained, last = plan[number - 1].epochs if number > 0 else 0, rung is plan[-1]
            for turn, architecture in run.through("architecture", alive):
                scores[architecture] = turns.train(
                    alive[turn:], epochs=rung.epochs, first=trained, keep=not last
                )
                scores.write(run, genotypes)
            kept = scores.best(alive, rung.survivors)
            turns.dismiss(alive if last else [n for n in alive if n not in kept])
            alive = kept

    winner = scores.log_winner()
    run.draw("scores", draw_scores, scores)
    criterion = options.score.criterion
    run.draw("halving", draw_halving, run.history, plans, winner, criterion=criterion)
    run.draw("genotype", draw_genotype, genotypes[winner])
    run.files.write_genotype(genotypes[winner])


if __name__ == "__main__":
    run_command(main)
