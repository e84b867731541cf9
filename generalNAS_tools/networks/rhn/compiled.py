"""The recurrence of an RHN with its time step compiled by torch: few kernels, however many edges.

T time steps, B batch, H hidden.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch._inductor
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.fx.experimental.proxy_tensor import make_fx

from generalNAS_tools.networks.rhn.kernels import STATES, RHNInputs
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import Edges
from generalNAS_tools.networks.rhn.steps import Step
from generalNAS_tools.search_space.genotypes import RHN_NODES

log = logging.getLogger(__name__)

Piece = Callable[..., Sequence[Tensor]]


class _Switch:
    """Of this process, as torch's own settings."""

    on = False


def use(on: bool) -> None:
    """Whether the time steps of all RHNs are compiled from now on."""
    _Switch.on = on


def in_use() -> bool:
    """Whether time steps are compiled."""
    return _Switch.on


def run(edges: Edges, inputs: RHNInputs) -> Tensor | None:
    """A cell's output (T, B, H), differentiable once; None where compiling fails.

    Args:
        edges: of the cell.
        inputs: the weights `w` in the order of the nodes, `mixing` of all edges, no `parts`.
    """
    tensors = (*inputs.tensors[:4], torch.cat(inputs.w, 1))
    needed = [tensor is not None and tensor.requires_grad for tensor in tensors]
    keep = torch.is_grad_enabled() and any(needed)
    norm = inputs.norm and ("batch" if inputs.norm.training else "running")
    step = Step(edges, norm, inputs.h_mask is not None, keep, any(needed[3:]), needed[0])
    with torch.autocast(inputs.hidden.device.type, enabled=False):
        recurrence = _Recurrence(step, inputs.norm, inputs.h_mask)
        if not recurrence.compile(
            *(tensor if tensor is None else tensor.detach() for tensor in tensors)
        ):
            return None
        if keep:
            result: Tensor = _Differentiable.apply(recurrence, *tensors)
            return result
        return recurrence.forward(*tensors)


class _Pieces(NamedTuple):
    """A time step's functions, compiled; what isn't needed is absent."""

    forward: Piece
    backward: Piece | None = None
    mixing: Piece | None = None


@cache
def _compiled(step: Step, steps: int, layouts: tuple[tuple[Any, ...], ...]) -> _Pieces | None:
    """Compiles a time step for tensors of some sizes, strides, dtypes and devices.

    Returns:
        None where that fails, for whatever reason; the log says so once.
    """
    log.info("compiling the RHN's time step; torch keeps it for later runs")
    try:
        with torch.inference_mode(False), torch.no_grad():
            return _compile(step, steps, [_example(*layout) for layout in layouts])
    except Exception as error:  # a compiler may fail in any way
        reason = f"{error}".strip().partition("\n")[0]
        log.warning("--compile: left out, torch can't compile here (%s)", reason)
        use(False)
        return None


def _compile(step: Step, steps: int, examples: list[Tensor]) -> _Pieces:
    previous, _, *fixed = examples
    forward = _piece(step.forward, examples)
    if not step.keep:
        return _Pieces(forward)
    saved = forward(*examples)[1 : 1 + step.num_saved]
    grads = [previous.clone(), previous.clone()]  # one tensor would be taken for one argument
    backward = _piece(step.backward, [*grads, previous, *saved, *fixed])
    if not step.mixing:
        return _Pieces(forward, backward)
    rows = [saved[number] for number in step.feeding] + list(saved[STATES + 1 : -STATES])
    many = [row.new_zeros(steps, *row.shape) for row in rows]
    grads = previous.new_zeros(steps, RHN_NODES, *previous.shape)
    return _Pieces(forward, backward, _piece(step.mixing_grads, [grads, *many]))


def _piece(function: Piece, examples: list[Tensor]) -> Piece:
    piece: Piece = torch._inductor.compile(make_fx(function)(*examples), examples)
    return piece


def _example(size: torch.Size, stride: tuple[int, ...], dtype: torch.dtype, device: Any) -> Tensor:
    return torch.empty_strided(size, stride, dtype=dtype, device=device).zero_()


class _Recurrence:
    """One pass over all time steps.

    Attributes:
        step: a time step.
        norm: BatchNorm of a supernet's states.
        h_mask: dropout mask (B, H) or None.
        saved: by time step what `step.backward` needs.
    """

    def __init__(self, step: Step, norm: Norm | None, h_mask: Tensor | None) -> None:
        self.step, self.norm, self.h_mask = step, norm, h_mask
        self.saved: list[Sequence[Tensor]] = []

    def compile(self, mixing: Tensor | None, pre: Tensor, hidden: Tensor, *w: Tensor) -> bool:
        """Whether the time step could be compiled; done once for tensors of these shapes."""
        tensors = (hidden, pre[0], *self._fixed(mixing, *w))
        key = tuple((t.shape, t.stride(), t.dtype, t.device) for t in tensors)
        pieces = _compiled(self.step, len(pre), key)
        if pieces is not None:
            self.pieces = pieces
        return pieces is not None

    def forward(self, mixing: Tensor | None, pre: Tensor, hidden: Tensor, *w: Tensor) -> Tensor:
        """Output (T, B, H)."""
        fixed, count = self._fixed(mixing, *w), self.step.num_saved
        outputs, moments = [hidden], []
        for row in pre.unbind():
            output, *rest = self.pieces.forward(outputs[-1], row, *fixed)
            outputs.append(output)
            self.saved.append(rest[:count])
            moments += rest[count:]
        if moments and self.norm:
            self.norm.average(moments, len(hidden))
        return torch.stack(outputs[1:])

    def backward(self, grad: Tensor, output: Tensor, *tensors: Any) -> list[Tensor | None]:
        """Gradients of what `forward` took."""
        mixing, _, hidden, *w = tensors
        fixed, previous = self._fixed(mixing, *w), [hidden, *output[:-1].unbind()]
        carried, results = torch.zeros_like(hidden), []
        for t, row in reversed(list(enumerate(grad.contiguous().unbind()))):
            carried, *rest = self.pieces.backward(row, carried, previous[t], *self.saved[t], *fixed)
            results.append(rest)
            if not self.step.mixing:
                self.saved[t] = self.saved[t][:STATES]  # frees the pre-activations
        grads = [torch.stack(some[::-1]) for some in zip(*results, strict=True)]
        grad_pre, *grads_z = grads[: 1 + self.step.weights * len(self.step.feeding)]
        mixed = self._mixing_grad(torch.stack(grads[-RHN_NODES:], 1)) if self.step.mixing else None
        weights = [None, None]
        if self.step.weights:
            weights = self._weight_grads(torch.stack(previous), [grad_pre, *grads_z], fixed)
        return [mixed, grad_pre, carried, *weights]

    def _states(self, number: int) -> Tensor:
        """A state at all time steps, (T, B, H)."""
        return torch.stack([saved[number] for saved in self.saved])

    def _weight_grads(
        self, previous: Tensor, grads: Sequence[Tensor], fixed: Sequence[Tensor]
    ) -> list[Tensor | None]:
        """Of w0 and of all others side by side, each one product over all time steps."""
        feed, size = self.step.fixed(fixed).feed, previous.shape[2]

        def product(states: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
            return feed(states).view(-1, size).t(), grad.view(-1, grad.shape[2])

        first = torch.mm(*product(previous, grads[0]))
        others = first.new_zeros(size, 2 * size * RHN_NODES)
        columns = self.step.columns(2 * size)
        for number, some, grad in zip(self.step.feeding, columns, grads[1:], strict=True):
            others[:, some].addmm_(*product(self._states(number), grad))
        return [first, others]

    def _mixing_grad(self, grads: Tensor) -> Tensor:
        """Of the mixing weights (E, 4), from the gradients before BatchNorm (T, 8, B, H)."""
        feeding = self.step.feeding
        states = [self._states(number) for number in feeding]
        zs = [
            torch.stack([saved[STATES + 1 + k] for saved in self.saved])
            for k in range(len(feeding))
        ]
        sums = self.pieces.mixing(grads, *states, *zs)
        edges = [edge for number in feeding for edge in self.step.edges[number]]
        rows = {
            edge.row: row
            for edge, row in zip(edges, torch.cat([*sums], 2).sum(1).t().unbind(), strict=True)
        }
        return torch.stack([rows[number] for number in range(len(rows))])

    def _fixed(self, mixing: Tensor | None, w0: Tensor, wall: Tensor) -> list[Tensor]:
        columns = [wall[:, some] for some in self.step.columns(2 * len(wall))]
        running = self.norm[:2] if self.step.norm == "running" else ()
        some = (w0, *columns, self.h_mask, mixing, *running)
        return [tensor for tensor in some if tensor is not None]


class _Differentiable(torch.autograd.Function):
    """(recurrence, mixing, pre, hidden, w0, all w side by side) → (T, B, H)."""

    @staticmethod
    def forward(ctx: Any, recurrence: _Recurrence, *tensors: Tensor) -> Tensor:
        output = recurrence.forward(*tensors)
        ctx.recurrence = recurrence
        ctx.save_for_backward(output, *tensors)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        recurrence, ctx.recurrence = ctx.recurrence, None
        if recurrence is None:
            raise RuntimeError("the RHN's backward pass runs only once")
        with torch.autocast(grad.device.type, enabled=False):
            return None, *recurrence.backward(grad, *ctx.saved_tensors)
