"""Random search: sampled architectures trained one by one, the best one wins.

Architectures are drawn uniformly from the search space, none twice. Each is trained as a final
network for --epochs; the best by --criterion after the last one wins. At an equal budget of
epochs this is the arm that every search should beat (Li & Talwalkar, UAI 2019).
"""

import numpy as np

from generalNAS_tools.pictures.pictures import draw_genotype
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import parse_options
from randomSearch_and_Hyperband_Tools.candidate_turns import CandidateTurns
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import SharedOptions
from randomSearch_and_Hyperband_Tools.score_pictures import draw_scores
from randomSearch_and_Hyperband_Tools.scores import Scores


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(SharedOptions, __doc__, save_dir="results/random_search", epochs=7)
    epochs = options.length.epochs
    rng = np.random.default_rng(options.run.seed)
    genotypes = distinct_genotypes(rng, options.sampling.num_samples)
    setup = set_up(options, "random", elsewhere=options.elsewhere)
    run, scores = setup.run, Scores(options.score.criterion)
    turns = CandidateTurns(genotypes, scores, setup, options)
    run.clock.total_epochs = len(genotypes) * epochs

    numbers = range(len(genotypes))
    for number, _ in run.through("candidate", numbers):
        scores[number] = turns.train(numbers[number:], epochs=epochs)
        scores.write(run, genotypes)

    winner = scores.log_winner()
    run.draw("scores", draw_scores, scores)
    run.draw("genotype", draw_genotype, genotypes[winner])
    run.files.write_genotype(genotypes[winner])


if __name__ == "__main__":
    run_command(main)
