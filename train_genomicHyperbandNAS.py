"""Hyperband-NAS: many sampled architectures trained for a little, the better half for more.

Successive halving (Jamieson & Talwalkar, AISTATS 2016): in every rung each architecture trains
--budget more epochs, then the better half by validation F1 goes on with its weights, optimizer and
schedule. Several --brackets share the same total of epochs between wide and long rungs
(Li et al., Hyperband, JMLR 2018).
"""

import argparse
import logging

import numpy as np

from generalNAS_tools.pictures.pictures import draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.options import whole
from randomSearch_and_Hyperband_Tools.candidates import (
    WaitingRoom,
    start_candidate,
    train_candidate,
)
from randomSearch_and_Hyperband_Tools.halving import hyperband_plans, plan_epochs
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import make_sampling_parser
from randomSearch_and_Hyperband_Tools.score_pictures import draw_halving, draw_scores
from randomSearch_and_Hyperband_Tools.scores import Scores

log = logging.getLogger(__name__)


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    parser = make_sampling_parser(__doc__, save_dir="results/hb_search", epochs=20, num_samples=25)
    add = parser.add_argument_group("halving").add_argument
    add("--budget", type=whole(1), default=3, help="epochs of a candidate in the first rung")
    add("--iterations", type=whole(1), default=3, help="rungs of successive halving")
    add("--brackets", type=whole(1), default=1, help="brackets of Hyperband; 1: only halving")
    return parser.parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    plans = hyperband_plans(
        args.num_samples, budget=args.budget, iterations=args.iterations, brackets=args.brackets
    )
    starts = np.cumsum([0, *(plan[0].candidates for plan in plans)]).tolist()
    genotypes = distinct_genotypes(np.random.default_rng(args.seed), starts[-1])
    setup = set_up(args, "hb")
    run, scores, waiting = setup.run, Scores(), WaitingRoom(setup.run.files)
    run.clock.total_epochs = sum(map(plan_epochs, plans))
    if not run.continues:
        waiting.clear()

    for bracket in range(run.cursor.get("bracket", 0), len(plans)):
        plan, newcomers = plans[bracket], range(starts[bracket], starts[bracket + 1])
        for rung in range(run.cursor.get("rung", 0), len(plan)):
            alive = run.cursor.get("alive", list(newcomers))
            for turn in range(run.cursor.get("turn", 0), len(alive)):
                number = alive[turn]
                candidate = start_candidate(number, genotypes[number], setup, args=args)
                if rung > 0 and not run.continues:
                    waiting.bring_back(candidate)
                run.track(**candidate.stateful(), scores=scores)
                scores[number] = train_candidate(candidate, setup, args, epochs=plan[rung].epochs)
                if rung + 1 < len(plan):
                    waiting.keep(candidate)
                scores.write(run, genotypes)
                before = plan[rung - 1].epochs if rung > 0 else 0
                run.enter(bracket=bracket, rung=rung, alive=alive, turn=turn + 1, epoch=before)
                del candidate  # memory never holds two networks
            kept = scores.best(alive, plan[rung].survivors)
            last = rung + 1 == len(plan)
            waiting.dismiss(alive if last else set(alive) - set(kept))
            run.enter(bracket=bracket, rung=rung + 1, alive=kept, epoch=plan[rung].epochs)
        run.enter(bracket=bracket + 1, epoch=0)

    winner = scores.winner()
    log.info("candidate %d wins with validation F1 %.4f", winner + 1, scores[winner].f1)
    draw_scores(scores, run.files.path("scores", "png"))
    draw_halving(run.history, plans, winner, path=run.files.path("halving", "png"))
    draw_genotype(genotypes[winner], run.files.path("genotype", "png"))
    run.files.write_genotype(genotypes[winner])


if __name__ == "__main__":
    run_command(main)
