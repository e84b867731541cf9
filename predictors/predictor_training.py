"""Training a predictor on scored architectures."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from predictors.graph_predictors import GraphBatch, Predictor
from predictors.losses import weighted_loss


@dataclass(frozen=True)
class PredictorSettings:
    """How a predictor is built and trained.

    Attributes:
        predictor: `--predictor`, gcn, mlp or lstm.
        epochs: `--gcn_epochs`.
        lr: `--gcn_lr`, of Adam.
        batch_size: architectures per step.
        loss_num: `--loss_num`, index in `LOSSES`.
    """

    predictor: str = "gcn"
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 128
    loss_num: int = 3


def train_predictor(
    graphs: GraphBatch, scores: Tensor, settings: PredictorSettings, *, seed: int
) -> Predictor:
    """Trains a fresh predictor; torch's global generator is left as it was.

    Args:
        graphs: of the scored architectures, on the device to train on.
        scores: measured scores from 0 to 1, (B,), on the same device.
        settings: see `PredictorSettings`.
        seed: decides the initial weights and the order of the batches.

    Returns:
        The predictor, in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.default_generator.manual_seed(seed)
        predictor = Predictor(settings.predictor, graphs).to(scores.device)
        optimizer = torch.optim.Adam(predictor.parameters(), lr=settings.lr)
        for _ in range(settings.epochs):
            order = torch.randperm(len(scores)).to(scores.device)
            for batch in order.split(settings.batch_size):
                predicted = predictor(graphs.rows(batch))
                loss = weighted_loss(predicted, scores[batch], settings.loss_num)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return predictor.eval()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices this small lose far more by waiting for a second CPU thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
