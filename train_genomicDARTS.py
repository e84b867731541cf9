"""genomeDARTS: differentiable search over convolutions and a recurrent cell.

One supernet holds every operation, mixed by the softmax of the alphas. Each step first moves the
alphas on a validation batch, then the weights on a training batch; after the last epoch the
strongest operations become the genotype (Liu et al., DARTS, ICLR 2019).
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

from darts_tools.alpha_history import AlphaHistory
from darts_tools.alphas import Alphas
from darts_tools.derivation import derive_genotype, warn_if_collapsed
from darts_tools.search_stage import AlphaRule, DifferentiableOptions, search_epoch, start_stage
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, switch, whole
from generalNAS_tools.runs.options import LengthOptions
from generalNAS_tools.search_space.edge_masks import full_masks

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DARTSOptions:
    """What genomeDARTS alone has."""

    title: ClassVar = "alphas"
    frozen_epochs: int = flag(whole(0), 5, "first epochs without alpha steps")
    unrolled: bool = switch(False, "second-order alpha steps")


@dataclass(frozen=True, kw_only=True)
class Options(DifferentiableOptions):
    """The flags of this script."""

    length: LengthOptions
    search: DARTSOptions


def main() -> None:
    """Searches and writes the genotype."""
    options = parse_options(
        Options, __doc__, save_dir="results/darts_search", learning_rate_min=1e-3
    )
    epochs, frozen_epochs = options.length.epochs, options.search.frozen_epochs
    if options.search.unrolled and options.weights.optimizer != "sgd":
        raise ValueError("--unrolled: its lookahead is a step of SGD; expected --optimizer=sgd")
    setup = set_up(options, "darts", supernet=options.supernet)
    run, history = setup.run, AlphaHistory()
    run.clock.total_epochs = epochs
    supernet, alphas = Supernet(full_masks(), setup.network), Alphas(full_masks())
    rule = AlphaRule(unrolled=options.search.unrolled)
    stage = start_stage(supernet, alphas, setup, options=options, epochs=epochs, rule=rule)
    run.track(**stage.stateful(), alpha_history=history)

    for epoch in run.epochs(epochs):
        row = search_epoch(stage, setup, epoch=epoch, frozen=epoch < frozen_epochs)
        history.append(alphas)
        log.info("genotype: %s", derive_genotype(alphas.edge_weights()).to_json())
        run.end_epoch(row)

    genotype = derive_genotype(alphas.edge_weights())
    warn_if_collapsed(genotype)
    history.draw(run, genotype)
    run.files.write_genotype(genotype)


if __name__ == "__main__":
    run_command(main)
