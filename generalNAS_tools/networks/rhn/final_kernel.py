"""The recurrence of a final network's RHN as an autograd function with hand-written backward.

T time steps, B batch, H hidden, m nodes of a group.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from generalNAS_tools.networks.rhn.kernels import (
    INITIAL,
    Drive,
    Tape,
    highway,
    highway_backward,
    take_tape,
    weight_grads,
)
from generalNAS_tools.networks.rhn.plan import Group
from generalNAS_tools.search_space.genotypes import RHN_NODES


class FinalRecurrence(torch.autograd.Function):
    """The recurrence of a final network: (groups, h_mask, pre, hidden, w0, *w) → (T, B, H)."""

    @staticmethod
    def forward(
        ctx: Any, groups: Sequence[Group], h_mask: Tensor | None, *tensors: Tensor
    ) -> Tensor:
        """Runs the recurrence and keeps its tape."""
        pre, hidden, w0, *w = tensors
        output, ctx.tape = final_forward(
            Drive(pre, hidden, w0, tuple(w), h_mask), groups, keep=True
        )
        ctx.groups = groups
        ctx.save_for_backward(output, h_mask, *tensors)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Runs the recurrence backwards and uses up its tape."""
        output, h_mask, pre, hidden, w0, *w = ctx.saved_tensors
        drive, tape = Drive(pre, hidden, w0, tuple(w), h_mask), take_tape(ctx)
        with torch.autocast(grad.device.type, enabled=False):
            grad_hidden = _final_backward(drive, ctx.groups, tape, output, grad)
            fed = (tape.states[:, group.state] for group in ctx.groups)
            grads = weight_grads(drive, tape, output, fed, ctx.needs_input_grad[4:])
        return None, None, tape.initial, grad_hidden, *grads


def final_forward(drive: Drive, groups: Sequence[Group], *, keep: bool) -> tuple[Tensor, Tape]:
    """The final network's recurrence: output (T, B, H) and the tape."""
    steps, batch, _ = drive.pre.shape
    tape = Tape.empty(drive, [(batch, w.shape[1]) for w in drive.w], keep=keep)
    output = drive.hidden.new_empty(steps, *drive.hidden.shape)
    first, *works = _scratch(drive, groups, 2)
    for t in range(steps):
        at = t if keep else 0
        s, previous = tape.states[at], output[t - 1] if t else drive.hidden
        torch.addmm(drive.pre[t], drive.feed(previous), drive.w0, out=tape.initial[at])
        highway(tape.initial[at], previous, INITIAL, out=s[:1], work=first)
        for group, w, pre, work in zip(groups, drive.w, tape.nodes, works, strict=True):
            z, state = pre[at], s[group.state]
            torch.mm(drive.feed(state), w, out=z)
            highway(z, state, group.runs, out=s[group.start : group.stop], work=work)
        torch.mean(s[1:], 0, out=output[t])
    return output, tape


def _final_backward(
    drive: Drive, groups: Sequence[Group], tape: Tape, output: Tensor, grad: Tensor
) -> Tensor:
    """Overwrites the tape's pre-activations with gradients; returns that of the hidden state."""
    grads = torch.empty_like(tape.states[0])
    first, *works = _scratch(drive, groups, 3)
    backwards = list(zip(groups, drive.w, tape.nodes, works, strict=True))[::-1]
    carry = torch.zeros_like(drive.hidden)
    for t in reversed(range(len(output))):
        s, previous = tape.states[t], output[t - 1] if t else drive.hidden
        grads[0].zero_()
        grads[1:] = carry.add_(grad[t]).div_(RHN_NODES)
        for group, w, pre, work in backwards:
            z, state, target = pre[t], s[group.state], grads[group.state]
            part = grads[group.start : group.stop]
            highway_backward(z, state, group.runs, grad=part, grad_state=target, work=work)
            drive.add_product(target, z, w)
        z, carry = tape.initial[t], carry.zero_()
        highway_backward(z, previous, INITIAL, grad=grads[:1], grad_state=carry, work=first)
        drive.add_product(carry, z, drive.w0)
    return carry


def _scratch(drive: Drive, groups: Sequence[Group], num: int) -> list[tuple[Tensor, ...]]:
    """For the initial state and each group `num` scratch tensors (m, B, H), sharing memory."""
    most = max(group.stop - group.start for group in groups)
    work = drive.hidden.new_empty(num, most, *drive.hidden.shape)
    return [work[:, :m].unbind() for m in (1, *(group.stop - group.start for group in groups))]
