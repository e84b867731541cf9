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

    Steps are counted from 0. First-order alpha steps only.
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
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        if options.clipping is not None:
            clip_gradients(network, options.clipping)
        optimizer.step()
        done.append(1)
        return loss, torch.cat(outputs)

    def alpha_step(self, epoch, step, _):
        assert not self.unrolled
        batch, alphas = self._validation_batch(epoch, step), list(self.alphas.parameters())

        def losses(part):
            return (bce_loss(self._forward(part), part),) * 2

        gradients, _ = averaged(self.supernet, batch, alphas, count_at(len(done)), losses)
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
