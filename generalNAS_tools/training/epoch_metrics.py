"""What an epoch reached: summed up batch by batch, and as a row of the history."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.files import ranks
from generalNAS_tools.training.metrics import f1_counts, weighted_f1


class EpochMetrics(NamedTuple):
    """What an epoch reached.

    Attributes:
        loss: mean cross-entropy.
        f1: weighted F1 at threshold 0.5.
        auroc: mean over the targets with both classes; None if there is none, or not measured.
        auprc: likewise.
    """

    loss: float
    f1: float
    auroc: float | None = None
    auprc: float | None = None


class Meter:
    """Mean loss and F1, summed on the device and read once."""

    def __init__(self, num_targets: int, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.count = 0
        self.f1_counts = torch.zeros(3, num_targets, dtype=torch.int64, device=device)

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, share: float = 1.0) -> None:
        """Adds a batch, of which this rank may have a share; `loss` is the whole one's mean."""
        size = round(len(labels) / share)
        self.loss += loss.detach().double() * size
        self.count += size
        counts = f1_counts(logits, labels)
        if share < 1:
            ranks.add_up([counts])
        self.f1_counts += counts

    def add_up(self) -> None:
        """Adds what the other ranks have of their own batches."""
        count = torch.tensor(self.count)
        for sums in (self.loss, count, self.f1_counts):
            ranks.add_up([sums])
        self.count = int(count)

    def mean_loss(self) -> float:
        """Mean loss so far; waits for the device."""
        return self.loss.item() / self.count

    def figures(self) -> EpochMetrics:
        """What was measured; waits for the device."""
        return EpochMetrics(self.mean_loss(), weighted_f1(self.f1_counts))

    def state_dict(self) -> dict[str, Any]:
        """A copy of the sums so far."""
        f1 = {"counts": self.f1_counts.clone()}
        return {"loss": self.loss.clone(), "count": self.count, "f1": f1}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from sums taken before.

        Raises:
            ValueError: they belong to another number of targets.
        """
        self.loss.copy_(state["loss"])
        self.count = state["count"]
        counts, expected = state["f1"]["counts"], self.f1_counts.shape
        if counts.shape != expected:
            raise ValueError(
                f"F1 counts have shape {tuple(counts.shape)}; expected {tuple(expected)}"
            )
        self.f1_counts.copy_(counts)


def figures_row(train: EpochMetrics, valid: EpochMetrics | None) -> dict[str, float | None]:
    """The history columns of an epoch."""
    return {
        "train_loss": train.loss,
        "acc_train": train.f1,
        "valid_loss": valid.loss if valid else None,
        "acc_valid": valid.f1 if valid else None,
        "valid_auroc": valid.auroc if valid else None,
        "valid_auprc": valid.auprc if valid else None,
    }
