"""Random search: sampled architectures trained one after the other, the best one wins.

Architectures are drawn uniformly from the search space, none twice. Each is trained as a final
network for --epochs; the best by --criterion after the last one wins. At an equal budget of
epochs this is the arm that every search should beat (Li & Talwalkar, UAI 2019).
"""

import numpy as np

from generalNAS_tools.pictures.pictures import draw_genotype
from generalNAS_tools.runs.command import run_command, set_up_search
from generalNAS_tools.runs.flags import parse_options
from randomSearch_and_Hyperband_Tools.candidates import start_candidate, train_candidate
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.sampling_options import SampledOptions
from randomSearch_and_Hyperband_Tools.score_pictures import draw_scores
from randomSearch_and_Hyperband_Tools.scores import Scores


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(SampledOptions, __doc__, save_dir="results/random_search", epochs=7)
    epochs = options.length.epochs
    rng = np.random.default_rng(options.run.seed)
    genotypes = distinct_genotypes(rng, options.sampling.num_samples)
    setup = set_up_search(options, "random")
    run, scores = setup.run, Scores(options.score.criterion)
    run.clock.total_epochs = len(genotypes) * epochs

    for number, genotype in run.through("candidate", genotypes):
        candidate = start_candidate(number, genotype, setup, options)
        run.track(**candidate.stateful(), scores=scores)
        scores[number] = train_candidate(candidate, setup, epochs=epochs)
        scores.write(run, genotypes)
        del candidate  # memory never holds two networks

    winner = scores.log_winner()
    run.draw("scores", draw_scores, scores)
    run.draw("genotype", draw_genotype, genotypes[winner])
    run.files.write_genotype(genotypes[winner])


if __name__ == "__main__":
    run_command(main)
