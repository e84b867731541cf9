"""genomeBONAS: Bayesian optimisation over architectures, with shared weights.

The architectures of a round are trained together as one supernet, then each is scored. A graph
network with Bayesian regression learns the score from all architectures so far and picks the
next round among proposed mutations of the best (Shi et al., BONAS, NeurIPS 2020).
"""

import json
import logging
from functools import partial

import numpy as np

from BO_tools.proposals import SAMPLERS, rank
from BO_tools.quality_report import QualityReport
from BO_tools.search_options import Options
from BO_tools.shared_training import SharedTraining
from BO_tools.start_archive import continue_archive, read_inherited, start_archive
from BO_tools.surrogate import fit_surrogate
from generalNAS_tools.pictures.pictures import draw_curves, draw_genotype
from generalNAS_tools.runs.command import Setup, run_command, set_up
from generalNAS_tools.runs.criterion import CRITERIA
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.search_space.genotypes import parse_genotype
from opendomain_utils.archive import Archive
from samplers.random_sampler import sample_random

log = logging.getLogger(__name__)


def propose(archive: Archive, iteration: int, setup: Setup, options: Options) -> list[str]:
    """The architectures of a round as JSON, none of them scored before."""
    rng = np.random.default_rng([options.run.seed, iteration])
    if iteration == 0:
        return [g.to_json() for g in sample_random(archive, options.rounds.initial, rng)]
    chosen = options.surrogate
    surrogate = fit_surrogate(archive.entries, chosen, rng, device=setup.device)
    candidates = SAMPLERS[chosen.sample_method](archive, chosen.generate_num, rng)
    ranked = rank(candidates, surrogate, chosen.acquisition, best=archive.best().score)
    return [genotype.to_json() for genotype in ranked[: options.rounds.bo_sample_num]]


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(Options, __doc__, save_dir="results/bonas_search", epochs=60)
    options.check()
    rounds, epochs = options.rounds, options.length.epochs
    inherited = read_inherited(rounds.archive, options.score.criterion)
    setup = set_up(options, "bonas", supernet=options.supernet)
    run, report = setup.run, QualityReport()
    archive = start_archive(run, inherited, initial=rounds.initial, restart=options.run.restart)
    iterations = range(0 if rounds.initial else 1, rounds.iterations + 1)
    run.clock.total_epochs = len(iterations) * epochs

    for _, iteration in run.through("iteration", iterations):
        proposal = partial(propose, archive, iteration, setup, options)
        architectures = [
            parse_genotype(json.loads(text), source="checkpoint")
            for text in run.remember("architectures", proposal)
        ]
        continue_archive(archive, run, architectures)
        together = SharedTraining(architectures, setup, options)
        run.track(**together.stateful(), quality=report)
        for epoch in run.epochs(epochs):
            whole = epoch < rounds.train_supernet_epochs
            row = together.train_whole(epoch) if whole else together.train_subnets()
            phase = "supernet" if whole else "subnets"
            run.end_epoch({"iteration": iteration, "phase": phase, **row})

        for number, genotype in enumerate(architectures, start=1):
            if genotype not in archive:
                archive.append(together.score(genotype, iteration))
                done = f"{number} of {len(architectures)}"
                log.info("scored %s: %.4f", done, archive.entries[-1].score)
        report.add(iteration, archive, setup, options=options.surrogate)

    best = archive.best()
    label = CRITERIA[options.score.criterion].label
    log.info("best of %d architectures by %s: %.4f", len(archive), label, best.score)
    if archive.tied() > 1:
        log.warning("%d tie for it; the lower validation loss decides", archive.tied())
    run.files.write_array("samples_acc", [entry.score for entry in archive.entries])
    run.draw("curves", draw_curves, run.history)
    run.draw("genotype", draw_genotype, best.genotype)
    run.files.write_genotype(best.genotype)


if __name__ == "__main__":
    run_command(main)
