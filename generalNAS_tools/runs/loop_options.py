"""What every epoch needs to know."""

from dataclasses import dataclass

import torch

from generalNAS_tools.runs.options import (
    Clipping,
    DataOptions,
    RunOptions,
    SupernetOptions,
    WeightOptions,
)


@dataclass(frozen=True)
class LoopOptions:
    """What every epoch needs to know.

    Attributes:
        batch_size: sequences a step.
        num_steps: steps of an epoch, at most.
        seed: of the order of the sequences.
        device: where the network is.
        amp: bfloat16 matrix work.
        beta: weight of the slowness penalty on the RHN's outputs.
        clipping: of the gradients; None for none.
        report_freq: steps between progress lines.
        validate_every: epochs from one validation to the next; None for no validation.
        batch_statistics: evaluate a supernet by the statistics of batches as large as those it
            trains with, drawn at random.
        rc_augment: read each training sequence on a random strand.
        cuda_graph: capture steps as CUDA graphs.
    """

    batch_size: int
    num_steps: int
    seed: int
    device: torch.device
    amp: bool = False
    beta: float = 0.0
    clipping: Clipping | None = None
    report_freq: int = 1000
    validate_every: int | None = 1
    batch_statistics: bool = False
    rc_augment: bool = False
    cuda_graph: bool = False

    @classmethod
    def of(
        cls,
        data: DataOptions,
        run: RunOptions,
        device: torch.device,
        *,
        weights: WeightOptions | None = None,
        supernet: SupernetOptions | None = None,
    ) -> "LoopOptions":
        """The options that the flags ask for; without `weights` no penalty and no clipping."""
        return cls(
            data.batch_size,
            data.num_steps,
            run.seed,
            device,
            amp=run.amp,
            beta=weights.beta if weights else 0.0,
            clipping=weights.clipping if weights else None,
            report_freq=run.report_freq,
            validate_every=run.report_validation if run.validation else None,
            batch_statistics=supernet is not None and supernet.rhn_statistics == "batch",
            rc_augment=data.rc_augment,
            cuda_graph=run.cuda_graph == "auto" and device.type == "cuda",
        )

    def validates(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends with a validation."""
        return self.validate_every is not None and (epoch + 1) % self.validate_every == 0

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)
