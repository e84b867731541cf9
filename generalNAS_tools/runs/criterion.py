"""What a validation is worth: the criterion that picks a winner.

F1 at threshold 0.5 is 0 for every network that is not sure of a rare label yet, so it can't tell
the candidates of a short search apart; the area under the precision-recall curve can (Davis &
Goadrich, ICML 2006).
"""

import math
from typing import NamedTuple


class Criterion(NamedTuple):
    """How a criterion is called.

    Attributes:
        column: of the history.
        label: in logs and pictures.
    """

    column: str
    label: str


CRITERIA = {
    "auprc": Criterion("valid_auprc", "validation AUPRC"),
    "auroc": Criterion("valid_auroc", "validation AUROC"),
    "loss": Criterion("valid_loss", "validation loss"),
    "f1": Criterion("acc_valid", "validation F1"),
}


def rank_key(criterion: str, value: float | None, loss: float) -> tuple[float, float]:
    """Sorts the best first: by the criterion's value, None being the worst, ties by the loss."""
    if criterion == "loss":
        return loss, loss
    return (math.inf if value is None else -value), loss
