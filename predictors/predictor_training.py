"""Training a predictor on scored architectures."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from generalNAS_tools.runs.flags import flag, real, whole
from predictors.graph_predictors import ENCODERS, GraphBatch, Predictor
from predictors.losses import LOSSES, weighted_loss

BATCH_SIZE = 128
"""Architectures per step."""


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """How a predictor is built and trained."""

    predictor: str = flag(str, "gcn", "its network", choices=ENCODERS)
    gcn_epochs: int = flag(whole(1), 100, "epochs of the predictor, of any kind")
    gcn_lr: float = flag(real(0.0), 1e-3, "learning rate of its Adam")
    loss_num: int = flag(
        int,
        3,
        "squared errors, weighted by score: 0 not, 1 log, 2 linear, 3 exp",
        choices=range(len(LOSSES)),
    )


def train_predictor(
    graphs: GraphBatch, scores: Tensor, options: PredictorOptions, *, seed: int
) -> Predictor:
    """Trains a fresh predictor; torch's global generator is left as it was.

    Args:
        graphs: of the scored architectures, on the device to train on.
        scores: measured scores from 0 to 1, (B,), on the same device.
        options: see `PredictorOptions`.
        seed: decides the initial weights and the order of the batches.

    Returns:
        The predictor, in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.default_generator.manual_seed(seed)
        predictor = Predictor(options.predictor, graphs).to(scores.device)
        optimizer = torch.optim.Adam(predictor.parameters(), lr=options.gcn_lr)
        for _ in range(options.gcn_epochs):
            order = torch.randperm(len(scores)).to(scores.device)
            for batch in order.split(BATCH_SIZE):
                predicted = predictor(graphs.rows(batch))
                loss = weighted_loss(predicted, scores[batch], options.loss_num)
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
