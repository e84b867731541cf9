"""genomeBONAS: Bayesian optimisation over architectures, with shared weights.

The architectures of a round are trained together as one supernet, then each is scored. A graph
network with Bayesian regression learns the score from all architectures so far and picks the
next round among proposed mutations of the best (Shi et al., BONAS, NeurIPS 2020).
"""

import argparse
import json
import logging

import numpy as np

from BO_tools.proposals import SAMPLERS, rank
from BO_tools.quality_report import QualityReport
from BO_tools.search_options import check_search_options, make_search_parser, predictor_settings
from BO_tools.shared_training import SharedTraining
from BO_tools.start_archive import read_inherited, start_archive
from BO_tools.surrogate import fit_surrogate
from generalNAS_tools.pictures.pictures import draw_curves, draw_genotype
from generalNAS_tools.runs.command import Setup, run_command, set_up
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype
from opendomain_utils.archive import Archive
from samplers.random_sampler import sample_random

log = logging.getLogger(__name__)


def parse_options() -> argparse.Namespace:
    """The flags of this script."""
    args = make_search_parser(__doc__).parse_args()
    check_search_options(args)
    return args


def propose(
    archive: Archive, iteration: int, setup: Setup, args: argparse.Namespace
) -> list[Genotype]:
    """The architectures of a round, none of them scored before."""
    rng = np.random.default_rng([args.seed, iteration])
    if iteration == 0:
        return sample_random(archive, args.init_num, rng)
    surrogate = fit_surrogate(archive.entries, predictor_settings(args), rng, device=setup.device)
    candidates = SAMPLERS[args.sample_method](archive, args.generate_num, rng)
    ranked = rank(candidates, surrogate, args.acquisition, best=archive.best().score)
    return ranked[: args.bo_sample_num]


def main() -> None:
    """Searches and writes the genotype."""
    args = parse_options()
    inherited = read_inherited(args)
    setup = set_up(args, "bonas")
    run, report = setup.run, QualityReport()
    archive = start_archive(run, inherited, args)
    first = 0 if args.init_num else 1
    run.clock.total_epochs = (args.iterations + 1 - first) * args.epochs

    for iteration in range(run.cursor.get("iteration", first), args.iterations + 1):
        if run.cursor.get("iteration") != iteration:
            chosen = [genotype.to_json() for genotype in propose(archive, iteration, setup, args)]
            run.enter(iteration=iteration, epoch=0, architectures=chosen)
            run.clock.start_epoch()
        architectures = [
            parse_genotype(json.loads(text), source="checkpoint")
            for text in run.cursor["architectures"]
        ]
        together = SharedTraining(architectures, setup, args)
        run.track(**together.stateful(), quality=report)
        for epoch in run.epochs(args.epochs):
            whole = epoch < args.train_supernet_epochs
            row = together.train_whole(epoch) if whole else together.train_subnets()
            phase = "supernet" if whole else "subnets"
            run.end_epoch({"iteration": iteration, "phase": phase, **row})

        for number, genotype in enumerate(architectures, start=1):
            if genotype not in archive:
                archive.append(together.score(genotype, iteration))
                done = f"{number} of {len(architectures)}"
                log.info("scored %s: %.4f", done, archive.entries[-1].score)
        report.add(iteration, archive, setup, args=args)

    best = archive.best()
    log.info("best of %d architectures: %.4f", len(archive), best.score)
    run.files.write_array("samples_acc", [entry.score for entry in archive.entries])
    draw_curves(run.history, run.files.path("curves", "png"))
    draw_genotype(best.genotype, run.files.path("genotype", "png"))
    run.files.write_genotype(best.genotype)


if __name__ == "__main__":
    run_command(main)
