"""One step of Bayesian optimisation: refit the surrogate, propose, rank."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from BO_tools.acquisition import ACQUISITIONS
from BO_tools.surrogate import fit_surrogate
from generalNAS_tools.genotypes import Genotype
from opendomain_utils.archive import Archive
from predictors.predictor_training import PredictorSettings
from samplers.evolutionary_sampler import sample_evolutionary
from samplers.random_sampler import sample_random

Sampler = Callable[[Archive, int, np.random.Generator], list[Genotype]]

SAMPLERS: dict[str, Sampler] = {"random": sample_random, "ea": sample_evolutionary}
"""What `--sample_method` picks."""


@dataclass(frozen=True)
class ProposalSettings:
    """How candidates are proposed and ranked.

    Attributes:
        generate_num: `--generate_num`, candidates the sampler proposes.
        bo_sample_num: `--bo_sample_num`, candidates that go on.
        sample_method: `--sample_method`, key in `SAMPLERS`.
        acquisition: key in `ACQUISITIONS`.
    """

    generate_num: int = 1000
    bo_sample_num: int = 60
    sample_method: str = "ea"
    acquisition: str = "ucb"

    def __post_init__(self) -> None:
        if self.sample_method not in SAMPLERS:
            raise ValueError(
                f"--sample_method {self.sample_method}: expected {', '.join(SAMPLERS)}"
            )
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(
                f"--acquisition {self.acquisition}: expected {', '.join(ACQUISITIONS)}"
            )
        if not 1 <= self.bo_sample_num <= self.generate_num:
            raise ValueError(
                f"--bo_sample_num {self.bo_sample_num}: expected 1..{self.generate_num} "
                "(--generate_num)"
            )


def propose(
    archive: Archive,
    settings: ProposalSettings,
    predictor_settings: PredictorSettings,
    *,
    rng: np.random.Generator,
    device: torch.device,
) -> list[Genotype]:
    """The most promising architectures not yet in the archive, best first.

    Raises:
        ValueError: the archive is empty.
    """
    if not archive.entries:
        raise ValueError(f"{archive.path}: holds 0 architectures; expected an initial design")
    surrogate = fit_surrogate(archive.entries, predictor_settings, rng, device=device)
    candidates = SAMPLERS[settings.sample_method](archive, settings.generate_num, rng)
    best = max(entry.score for entry in archive.entries)
    promise = ACQUISITIONS[settings.acquisition](surrogate.predict(candidates), best)
    order = np.argsort(-promise, kind="stable")[: settings.bo_sample_num]
    return [candidates[index] for index in order]
