"""The plain form of training on several ranks: one process takes their shares one after the other.

Each share is a batch of its own for BatchNorm; the first one's statistics stay. Gradients and
losses are averaged by the shares' sizes before anything is clipped or stepped.
"""

import contextlib
from unittest import mock

import torch
from torch import nn

from darts_tools.architect import Architect
from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.training import train_loop
from generalNAS_tools.training.optimizers import clip_gradients
from generalNAS_tools.training.train_step import bce_loss, weight_loss


@contextlib.contextmanager
def in_shards(count_at):
    """Within the block, every batch is taken in shares; `count_at` says how many at a weight step.

    Steps are counted from 0.
    """
    done = []

    def weight_step(network, forward, optimizer, *, batch, options):
        outputs = []

        def losses(part):
            output = forward(part.x)
            outputs.append(output.logits.detach())
            return weight_loss(output, part, options.beta)

        weights = list(network.parameters())
        gradients, loss = averaged(network, batch, weights, count_at(len(done)), losses)
        set_clipped(network, gradients, options)
        optimizer.step()
        done.append(1)
        return loss, torch.cat(outputs)

    def alpha_step(self, epoch, step, train_batch):
        batch, alphas = self._validation_batch(epoch, step), list(self.alphas.parameters())
        count = count_at(len(done))
        if self.unrolled:
            gradients = unrolled_gradients(self, train_batch, batch, count)
        else:
            losses = validation_losses(self)
            gradients, _ = averaged(self.supernet, batch, alphas, count, losses)
        for alpha, gradient in zip(alphas, gradients, strict=True):
            alpha.grad = gradient
        if self.clip is not None:
            nn.utils.clip_grad_norm_(alphas, self.clip)
        self.optimizer.step()

    with (
        mock.patch.object(train_loop, "weight_step", weight_step),
        mock.patch.object(Architect, "step", alpha_step),
    ):
        yield


def validation_losses(architect):
    return lambda part: (bce_loss(architect._forward(part), part),) * 2


def unrolled_gradients(architect, train_batch, batch, count):
    """Of the alphas: equations 7 and 8 of the DARTS paper, every gradient averaged over shares."""
    network, beta = architect.supernet, architect.options.beta
    alphas, weights = list(architect.alphas.parameters()), list(network.parameters())
    kept = {name: value.clone() for name, value in network.state_dict().items()}

    def training(part):
        return (weight_loss(architect._forward(part), part, beta)[0],) * 2

    def moved(changes, factor, *given):
        network.load_state_dict(kept)
        with torch.no_grad():
            for weight, change in zip(weights, changes, strict=True):
                weight.add_(factor * change)
        gradients, _ = averaged(network, *given)
        network.load_state_dict(kept)
        return gradients

    gradients, _ = averaged(network, train_batch, weights, count, training)
    rates, changes = lookahead(architect, gradients)
    found = moved(changes, 1.0, batch, alphas + weights, count, validation_losses(architect))
    of_weights = found[len(alphas) :]
    vector = [rate * gradient for rate, gradient in zip(rates, of_weights, strict=True)]
    step = 0.01 / nn.utils.get_total_norm(vector)
    above = moved(vector, step, train_batch, alphas, count, training)
    below = moved(vector, -step, train_batch, alphas, count, training)
    return [
        gradient - (up - down) / (2 * step)
        for gradient, up, down in zip(found[: len(alphas)], above, below, strict=True)
    ]


def lookahead(architect, gradients):
    """Per weight: its rate, clipping included, and how the next step of SGD changes it."""
    optimizer, rates, changes = architect.weight_optimizer, {}, {}
    weights = list(architect.supernet.parameters())
    given = dict(zip(weights, gradients, strict=True))
    set_clipped(architect.supernet, [gradient.clone() for gradient in gradients], architect.options)
    for group in optimizer.param_groups:
        clipped = nn.utils.get_total_norm([weight.grad for weight in group["params"]])
        whole = nn.utils.get_total_norm([given[weight] for weight in group["params"]])
        for weight in group["params"]:
            momentum = optimizer.state.get(weight, {}).get("momentum_buffer", 0.0)
            change = weight.grad + group["weight_decay"] * weight + group["momentum"] * momentum
            rates[weight] = group["lr"] * clipped / whole
            changes[weight] = -group["lr"] * change.detach()
    return [rates[weight] for weight in weights], [changes[weight] for weight in weights]


def set_clipped(network, gradients, options):
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        weight.grad = gradient
    if options.clipping is not None:
        clip_gradients(network, options.clipping)


def averaged(network, batch, inputs, count, losses):
    """Gradients of the whole batch for the inputs, and its second loss.

    `losses` gives of a share what is differentiated, and what is reported.
    """
    gradients, whole = [torch.zeros_like(each) for each in inputs], 0.0
    parts = zip(batch.x.tensor_split(count), batch.labels.tensor_split(count), strict=True)
    for number, part in enumerate(Batch(*pair) for pair in parts):
        before = [buffer.clone() for buffer in network.buffers()]
        differentiated, reported = losses(part)
        weight = len(part.labels) / len(batch.labels)
        found = torch.autograd.grad(differentiated, inputs, materialize_grads=True)
        if number > 0:
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
        for gradient, more in zip(gradients, found, strict=True):
            gradient += weight * more
        whole += weight * reported.detach()
    return gradients, whole
