"""The history of the alphas over a search: kept in checkpoints, drawn and written at its end."""

from typing import Any

import torch
from torch import Tensor

from darts_tools.alphas import Alphas
from generalNAS_tools.pictures.pictures import draw_alphas, draw_curves, draw_genotype
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.edge_masks import Masks
from generalNAS_tools.search_space.genotypes import Genotype


class AlphaHistory:
    """Softmax weights after every epoch so far."""

    def __init__(self) -> None:
        self._epochs: dict[str, list[Tensor]] = {name: [] for name in Masks._fields}

    def append(self, alphas: Alphas) -> None:
        """Adds the weights as they are now."""
        for name, weights in alphas.edge_weights()._asdict().items():
            self._epochs[name].append(torch.from_numpy(weights))

    def state_dict(self) -> dict[str, Any]:
        """Weights by kind of cell, a list over epochs of (E, P)."""
        return self._epochs

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a saved history."""
        self._epochs = state

    def draw(self, run: RunDirectory, genotype: Genotype) -> None:
        """Writes the search's pictures (cells, alphas, curves) into the run's folder."""
        weights = {name: torch.stack(epochs).numpy() for name, epochs in self._epochs.items()}
        for name, values in weights.items():
            run.files.write_array(f"alphas_{name}", values)
        run.draw("genotype", draw_genotype, genotype)
        stages = [row.get("stage", 1) for row in run.history]
        run.draw("alphas", draw_alphas, weights, stages=stages)
        run.draw("curves", draw_curves, run.history)
