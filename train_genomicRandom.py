"""Random search: sampled architectures trained one after the other, the best one wins.

Architectures are drawn uniformly from the search space, none twice. Each is trained as a final
network for --epochs; its score is the validation F1 after the last one. At an equal budget of
epochs this is the arm that every search should beat (Li & Talwalkar, UAI 2019).
"""

import argparse
import logging

import numpy as np

from generalNAS_tools.pictures.pictures import draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from randomSearch_and_Hyperband_Tools.candidates import start_candidate, train_candidate
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import make_sampling_parser
from randomSearch_and_Hyperband_Tools.score_pictures import draw_scores
from randomSearch_and_Hyperband_Tools.scores import Scores

log = logging.getLogger(__name__)


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    return make_sampling_parser(
        __doc__, save_dir="results/random_search", epochs=7, num_samples=20
    ).parse_args()


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    genotypes = distinct_genotypes(np.random.default_rng(args.seed), args.num_samples)
    setup = set_up(args, "random")
    run, scores = setup.run, Scores()
    run.clock.total_epochs = args.num_samples * args.epochs

    for number in range(run.cursor.get("candidate", 0), args.num_samples):
        candidate = start_candidate(number, genotypes[number], setup, args=args)
        run.track(**candidate.stateful(), scores=scores)
        scores[number] = train_candidate(candidate, setup, args, epochs=args.epochs)
        scores.write(run, genotypes)
        run.enter(candidate=number + 1, epoch=0)
        del candidate  # memory never holds two networks

    winner = scores.winner()
    log.info("candidate %d wins with validation F1 %.4f", winner + 1, scores[winner].f1)
    draw_scores(scores, run.files.path("scores", "png"))
    draw_genotype(genotypes[winner], run.files.path("genotype", "png"))
    run.files.write_genotype(genotypes[winner])


if __name__ == "__main__":
    run_command(main)
