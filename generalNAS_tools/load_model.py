"""Trained networks for use: a model file → a module that maps DNA to logits.

Dimension letters: N sequences, L sequence length (bp).
"""

import os
from typing import Any

import torch
from torch import Tensor, nn

from baseline_models.networks import build_baseline
from baseline_models.plain_lstm import unroll_lstm
from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.files.model_files import final_model, stored_targets, with_weights
from generalNAS_tools.networks.plain_network import PlainFinalNetwork, take_weights
from generalNAS_tools.runs.command import pick_device

_FROM_ACGT = (0, 2, 1, 3)
"""Where the channels of DeepSEA's data, A, G, C, T, stand among A, C, G, T."""


class TrainedModel(nn.Module):
    """A trained network in the field's convention: channels A, C, G, T.

    Attributes:
        network: what was trained; its channels are A, G, C, T.
        seq_size: L, in bp.
        num_targets: number of outputs.
        targets: their names; None where the file has none.
        probabilities: makes them of logits, if they are wanted.
    """

    order: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        seq_size: int,
        num_targets: int,
        targets: tuple[str, ...] | None = None,
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.seq_size, self.num_targets, self.targets = seq_size, num_targets, targets
        self.probabilities = nn.Sigmoid() if probabilities else nn.Identity()
        self.register_buffer("order", torch.tensor(_FROM_ACGT), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps one-hot DNA (N, 4, L), channels A, C, G, T, to (N, targets).

        Raises:
            ValueError: x has another shape.
        """
        if x.dim() != 3 or x.shape[1] != len(_FROM_ACGT) or x.shape[2] != self.seq_size:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, 4, {self.seq_size})")
        output = self.network(x.index_select(1, self.order))
        return self.probabilities(output if isinstance(output, Tensor) else output.logits)


def load_model(
    path: str | os.PathLike[str],
    *,
    probabilities: bool = False,
    plain: bool = False,
    device: str = "cpu",
) -> TrainedModel:
    """Reads a trained network, searched or baseline: in evaluation mode, its weights frozen.

    Args:
        path: a model (.pth) of train_finalArchitecture.py or train_baseline.py. Nothing in it is
            ever executed.
        probabilities: give probabilities in place of logits.
        plain: build it of ordinary modules, see `plain_network`: slower, equal to rounding, and
            every nonlinearity is a module that can be hooked.
        device: cpu, cuda, cuda:1 ... or auto.

    Raises:
        ValueError: the file is missing, damaged or holds something else, or there is no such
            device.
    """
    state = load_weights(path)
    network: nn.Module
    sizes: dict[str, Any]
    if "baseline" in state:
        sizes = {name: state.get(name) for name in ("seq_size", "num_targets")}
        network = with_weights(
            lambda: build_baseline(state["baseline"], **sizes), state.get("weights"), path
        )
        network = unroll_lstm(network) if plain else network
        targets = stored_targets(state, sizes["num_targets"], path)
    else:
        network, genotype, options, _, targets = final_model(state, path)
        if plain:
            network = take_weights(PlainFinalNetwork(genotype, options), network)
        sizes = {"seq_size": options.seq_size, "num_targets": options.num_targets}
    model = TrainedModel(network, **sizes, targets=targets, probabilities=probabilities)
    return model.to(pick_device(device)).eval().requires_grad_(False)
