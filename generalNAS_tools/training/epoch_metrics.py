"""What an epoch reached: summed up batch by batch, and as a row of the history."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from generalNAS_tools.files import ranks
from generalNAS_tools.training.metrics import StreamingF1


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
        self.f1 = StreamingF1(num_targets, device)

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, share: float = 1.0) -> None:
        """Adds a batch, of which this rank may have a share; `loss` is the whole one's mean."""
        size = round(len(labels) / share)
        self.loss += loss.detach().double() * size
        self.count += size
        self.f1.update(logits.detach(), labels, shared=share < 1)

    def add_up(self) -> None:
        """Adds what the other ranks have of their own batches."""
        count = torch.tensor(self.count)
        ranks.add_up([self.loss])
        ranks.add_up([count])
        self.count = int(count)
        self.f1.add_up()

    def mean_loss(self) -> float:
        """Mean loss so far; waits for the device."""
        return self.loss.item() / self.count

    def figures(self) -> EpochMetrics:
        """What was measured; waits for the device."""
        return EpochMetrics(self.mean_loss(), self.f1.compute())

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"loss": self.loss, "count": self.count, "f1": self.f1.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from sums taken before."""
        self.loss.copy_(state["loss"])
        self.count = state["count"]
        self.f1.load_state_dict(state["f1"])


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
