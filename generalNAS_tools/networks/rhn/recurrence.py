"""The recurrence of an RHN cell as an autograd function with hand-written backward.

What both cells do at every time step, and the gradients of their weight matrices, stand here; what
a time step does between the initial state and the mean of the nodes is `search_kernel`'s and
`final_kernel`'s.

T time steps, B batch, H hidden.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from generalNAS_tools.networks.matrix_product import multiply
from generalNAS_tools.networks.rhn.kernels import INITIAL, RHNInputs, SavedStates, highway_backward
from generalNAS_tools.search_space.genotypes import RHN_NODES


class Recurrence:
    """One pass over all time steps, forward or backward; its buffers serve all of them.

    Attributes:
        grads: of the states of a time step, (9, B, H).
        work: scratch (num_scratch, 8, B, H), of which `first` serves the initial state.
    """

    num_scratch: ClassVar[int]

    def __init__(self, inputs: RHNInputs, saved: SavedStates) -> None:
        self.inputs, self.saved = inputs, saved
        self.grads = torch.empty_like(saved.states[0])
        self.work = self.grads.new_empty(self.num_scratch, RHN_NODES, *inputs.hidden.shape)
        self.first = self.work[:, :1].unbind()

    def write_states(self, t: int, previous: Tensor) -> None:
        """Writes the nine states, given the initial one's pre-activations.

        Args:
            t: row of the saved states.
            previous: output of the time step before, (B, H).
        """
        raise NotImplementedError

    def back_to_initial(self, t: int) -> Tensor:
        """Passes `grads` on from node to node, overwriting the nodes' pre-activations.

        Returns:
            The gradient of the initial state before BatchNorm, (1, B, H).
        """
        raise NotImplementedError

    def mixing_grad(self) -> Tensor | None:
        """Gradient of the mixing weights, (E, 4), if there are any and it is wanted."""
        return None

    def forward(self) -> Tensor:
        """Output (T, B, H); fills the saved states."""
        inputs, saved = self.inputs, self.saved
        output = inputs.hidden.new_empty(len(inputs.pre), *inputs.hidden.shape)
        for t in range(len(output)):
            row, previous = t % len(saved.states), output[t - 1] if t else inputs.hidden
            torch.addmm(inputs.pre[t], inputs.feed(previous), inputs.w0, out=saved.initial[row])
            self.write_states(row, previous)
            torch.mean(saved.states[row, 1:], 0, out=output[t])
        return output

    def backward(self, output: Tensor, grad: Tensor) -> Tensor:
        """Overwrites all pre-activations with gradients; returns that of hidden, (B, H)."""
        inputs, grads, carry = self.inputs, self.grads, torch.zeros_like(self.inputs.hidden)
        for t in reversed(range(len(output))):
            grads[0].zero_()
            grads[1:] = carry.add_(grad[t]).div_(RHN_NODES)
            raw, carry = self.back_to_initial(t), carry.zero_()
            z, previous = self.saved.initial[t], output[t - 1] if t else inputs.hidden
            highway_backward(z, previous, INITIAL, grad=raw, grad_state=carry, work=self.first)
            inputs.add_product(carry, z, inputs.w0)
        return carry

    def weight_grads(self, output: Tensor) -> list[Tensor]:
        """Gradients of w0 and w after `backward`, each one product over all time steps."""
        saved, inputs = self.saved, self.inputs
        previous = torch.cat([inputs.hidden[None], output[:-1]])
        fed = (previous, *(part.rows(saved.states, 1) for part in inputs.parts))
        return [
            weight_grad(inputs.feed(states), z)
            for states, z in zip(fed, (saved.initial, *saved.nodes), strict=True)
        ]


def weight_grad(states: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the matrix between states (..., H) and pre-activations (..., W): (H, W)."""
    return multiply(states.reshape(-1, states.shape[-1]).t(), grad.reshape(-1, grad.shape[-1]))


def run(kind: type[Recurrence], inputs: RHNInputs) -> Tensor:
    """A cell's output (T, B, H), differentiable once; saves nothing where no gradient is wanted."""
    wanted = any(tensor is not None and tensor.requires_grad for tensor in inputs.tensors)
    with torch.autocast(inputs.hidden.device.type, enabled=False):
        if torch.is_grad_enabled() and wanted:
            fixed = inputs.with_tensors([None] * len(inputs.tensors))
            result: Tensor = Differentiable.apply(_Pass(kind, fixed), *inputs.tensors)
            return result
        return kind(inputs, SavedStates.empty(inputs, keep=False)).forward()


class _Pass:
    """A recurrence that is made anew for its backward pass: its buffers don't wait."""

    def __init__(self, kind: type[Recurrence], fixed: RHNInputs) -> None:
        self.kind, self.fixed = kind, fixed

    def forward(self, tensors: Sequence[Any]) -> Tensor:
        """Output (T, B, H)."""
        inputs = self.fixed.with_tensors(tensors)
        self.saved = SavedStates.empty(inputs, keep=True)
        return self.kind(inputs, self.saved).forward()

    def backward(self, grad: Tensor, output: Tensor, tensors: Sequence[Any]) -> list[Any]:
        """Gradients of `tensors`."""
        recurrence, weights = self.kind(self.fixed.with_tensors(tensors), self.saved), tensors[3:]
        hidden = recurrence.backward(output, grad)
        needed = any(weight.requires_grad for weight in weights)
        grads = recurrence.weight_grads(output) if needed else [None] * len(weights)
        return [recurrence.mixing_grad(), self.saved.initial, hidden, *grads]


class Differentiable(torch.autograd.Function):
    """(a pass over all time steps, its tensors) → (T, B, H)."""

    @staticmethod
    def forward(ctx: Any, steps: Any, *tensors: Tensor) -> Tensor:
        """Runs the pass; keeps what its backward needs."""
        output: Tensor = steps.forward(tensors)
        ctx.steps = steps
        ctx.save_for_backward(output, *tensors)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Gradients of the tensors."""
        steps, ctx.steps = ctx.steps, None
        if steps is None:
            raise RuntimeError("the RHN's backward pass frees what it saved, so runs only once")
        output, *tensors = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            return None, *steps.backward(grad, output, tensors)
