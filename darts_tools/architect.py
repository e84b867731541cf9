"""The step of the alphas (Liu et al., DARTS, ICLR 2019): first order and unrolled."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from darts_tools.alphas import Alphas
from generalNAS_tools.data.deepsea_data import Batch, PackedSplit, epoch_indices
from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import random_states, set_random_states
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.training.captured_step import Changed, Step, captured
from generalNAS_tools.training.optimizers import clip_gradients
from generalNAS_tools.training.train_step import bce_loss, rank_batch, weight_loss

FINITE_DIFFERENCE = 0.01
"""R of the DARTS paper: the step along the gradient is R over its norm."""
TINY = 1e-12


class Architect:
    """Steps the alphas on validation batches.

    Args:
        supernet: whose weights the step leaves as they are.
        alphas: what the step changes.
        optimizer: Adam over the alphas.
        weight_optimizer: of the weights; the unrolled step reads it and wants SGD.
        split: the validation set.
        options: batch size, seed, autocast.
        clip: largest total norm of the alphas' gradient, or None.
        unrolled: add the second-order term.
    """

    def __init__(
        self,
        supernet: Supernet,
        alphas: Alphas,
        optimizer: torch.optim.Optimizer,
        *,
        weight_optimizer: torch.optim.Optimizer,
        split: PackedSplit,
        options: LoopOptions,
        clip: float | None = None,
        unrolled: bool = False,
    ) -> None:
        self.supernet, self.alphas, self.optimizer = supernet, alphas, optimizer
        self.weight_optimizer, self.split, self.options = weight_optimizer, split, options
        self.clip, self.unrolled = clip, unrolled
        self._order = (-1, torch.empty(0))
        self._of_epoch: Step = self._first_order

    def step(self, epoch: int, step: int, train_batch: Batch) -> None:
        """One step of the alphas on the epoch's `step`-th validation batch."""
        batch = self._validation_batch(epoch, step)
        if self.unrolled:
            self._move(self._unrolled_gradients(train_batch, batch))
        else:
            self._of_epoch(batch)

    def _first_order(self, batch: Batch) -> tuple[()]:
        with without_gradients(self.supernet):
            loss = bce_loss(self._forward(batch), batch)
            self._move(self._alpha_gradients(loss, batch))
        return ()

    def _move(self, gradients: list[Tensor]) -> None:
        for alpha, gradient in zip(self.alphas.parameters(), gradients, strict=True):
            alpha.grad = gradient
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.alphas.parameters(), self.clip)
        self.optimizer.step()

    def _validation_batch(self, epoch: int, step: int) -> Batch:
        """The batch of a step: the epoch's own order of the set, taken round and round."""
        count = self.split.num_sequences
        if self._order[0] != epoch:
            order = epoch_indices(count, seed=self.options.seed + 1, epoch=epoch)
            self._order = (epoch, order)
            changed: Changed = [self.supernet, self.alphas, self.optimizer]
            self._of_epoch = captured(self._first_order, changed, self.options)
        size = min(self.options.batch_size, count)
        positions = (torch.arange(size) + step * size) % count
        return rank_batch(self.split, self._order[1][positions], self.options.device)

    def _forward(self, batch: Batch) -> NetworkOutput:
        with self.options.autocast():
            return self.supernet(batch.x, self.alphas.mixing_weights())

    def _alpha_gradients(self, loss: Tensor, batch: Batch, *more: Tensor) -> list[Tensor]:
        """Of the whole batch, for the alphas and `more`; zeros for cells that the network lacks."""
        inputs = [*self.alphas.parameters(), *more]
        gradients = list(torch.autograd.grad(loss, inputs, materialize_grads=True))
        ranks.add_up(gradients, batch.share)
        return gradients

    def _training_loss(self, batch: Batch) -> Tensor:
        return weight_loss(self._forward(batch), batch, self.options.beta)[0]

    def _unrolled_gradients(self, train_batch: Batch, batch: Batch) -> list[Tensor]:
        """Equations 7 and 8 of the DARTS paper, the weight step itself as the lookahead."""
        kept = {name: value.clone() for name, value in self.supernet.state_dict().items()}
        weights = list(self.supernet.parameters())
        rates = self._look_ahead(train_batch)
        gradients = self._alpha_gradients(bce_loss(self._forward(batch), batch), batch, *weights)
        of_alphas, of_weights = gradients[: -len(weights)], gradients[-len(weights) :]
        vector = [rate * gradient for rate, gradient in zip(rates, of_weights, strict=True)]
        self.supernet.load_state_dict(kept)
        step = FINITE_DIFFERENCE / nn.utils.get_total_norm(vector).clamp_min(TINY)
        random = random_states(self.options.device)
        above = self._shifted_gradients(train_batch, vector, step)
        self.supernet.load_state_dict(kept)
        set_random_states(random, self.options.device)
        below = self._shifted_gradients(train_batch, vector, -step)
        self.supernet.load_state_dict(kept)
        return [
            gradient - (up - down) / (2 * step)
            for gradient, up, down in zip(of_alphas, above, below, strict=True)
        ]

    def _look_ahead(self, train_batch: Batch) -> list[Tensor]:
        """Steps the weights as the weight step would; gives each weight's effective rate."""
        self.weight_optimizer.zero_grad(set_to_none=False)
        self._training_loss(train_batch).backward(inputs=list(self.supernet.parameters()))
        gradients = [w.grad for w in self.supernet.parameters() if w.grad is not None]
        ranks.add_up(gradients, train_batch.share)
        groups = self.weight_optimizer.param_groups
        before = [_norm(group["params"]) for group in groups]
        if self.options.clipping is not None:
            clip_gradients(self.supernet, self.options.clipping)
        rates: dict[nn.Parameter, Tensor] = {}
        with torch.no_grad():
            for group, norm in zip(groups, before, strict=True):
                rate = group["lr"] * _norm(group["params"]) / norm.clamp_min(TINY)
                for weight in group["params"]:
                    rates[weight] = rate
                    self._sgd_step(weight, group)
        return [rates[weight] for weight in self.supernet.parameters()]

    def _sgd_step(self, weight: nn.Parameter, group: dict[str, Any]) -> None:
        if weight.grad is None:
            return
        change = weight.grad + group["weight_decay"] * weight
        momentum = self.weight_optimizer.state[weight].get("momentum_buffer")
        if group["momentum"] and momentum is not None:
            change += group["momentum"] * momentum
        weight.sub_(group["lr"] * change)

    def _shifted_gradients(
        self, train_batch: Batch, vector: list[Tensor], step: Tensor
    ) -> list[Tensor]:
        """Gradient of the training loss for the alphas, the weights moved along `vector`."""
        with torch.no_grad():
            for weight, direction in zip(self.supernet.parameters(), vector, strict=True):
                weight.add_(step * direction)
        with without_gradients(self.supernet):
            return self._alpha_gradients(self._training_loss(train_batch), train_batch)


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


@contextlib.contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """Weights as constants: the alpha step needs no gradients of them."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
