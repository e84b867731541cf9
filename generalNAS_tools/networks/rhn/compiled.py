"""The recurrence of an RHN with its time step compiled by torch: few kernels, however many edges.

T time steps, B batch, H hidden, E edges.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from generalNAS_tools.networks.rhn.kernels import RHNInputs
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import Edges
from generalNAS_tools.networks.rhn.recurrence import Differentiable, weight_grad
from generalNAS_tools.networks.rhn.steps import Step

log = logging.getLogger(__name__)

Piece = Callable[..., Sequence[Tensor]]


class _Switch:
    """Of this process, like torch's own settings."""

    on = False


def use(on: bool) -> None:
    """Whether the time steps of all RHNs are compiled from now on."""
    _Switch.on = on


def in_use() -> bool:
    """Whether time steps are compiled."""
    return _Switch.on


def run(edges: Edges, inputs: RHNInputs) -> Tensor | None:
    """A cell's output (T, B, H), differentiable once; None where compiling is off or fails.

    Args:
        edges: of the cell.
        inputs: the weights `w` in the order of the nodes, `mixing` of all edges.
    """
    if not _Switch.on:
        return None
    tensors = (*inputs.tensors[:4], torch.cat([w.t() for w in inputs.w]))
    needed = [tensor is not None and tensor.requires_grad for tensor in tensors]
    keep = torch.is_grad_enabled() and any(needed)
    norm = inputs.norm and ("batch" if inputs.norm.training else "running")
    step = Step(edges, norm, inputs.h_mask is not None, keep, any(needed[3:]), needed[0])
    with torch.autocast(inputs.hidden.device.type, enabled=False):
        recurrence = _Recurrence(step, inputs.norm, inputs.h_mask)
        examples = (inputs.hidden, inputs.pre[0], *recurrence.fixed(tensors))
        layouts = tuple((t.shape, t.stride(), t.dtype, t.device) for t in examples)
        recurrence.pieces = _compiled(step, len(inputs.pre), layouts)
        if not recurrence.pieces:
            return None
        if not keep:
            return recurrence.forward(tensors)
        result: Tensor = Differentiable.apply(recurrence, *tensors)
        return result


@cache
def _compiled(step: Step, steps: int, layouts: tuple[tuple[Any, ...], ...]) -> dict[str, Piece]:
    """Compiles a time step for tensors of some sizes, strides, dtypes and devices.

    Returns:
        What is needed of `step`, by name; nothing where compiling fails, and the log says so once.
    """
    log.info("compiling the RHN's time step; torch keeps the result for later runs")
    try:
        with torch.inference_mode(False), torch.no_grad():
            examples = [
                torch.empty_strided(size, stride, dtype=dtype, device=device).zero_()
                for size, stride, dtype, device in layouts
            ]
            return _compile(step, steps, examples)
    except Exception as error:  # a compiler may fail in any way
        reason = f"{error}".strip().partition("\n")[0]
        log.warning("--compile: left out, torch can't compile here (%s)", reason)
        use(False)
        return {}


def _compile(step: Step, steps: int, examples: list[Tensor]) -> dict[str, Piece]:
    pieces = {"forward": _piece(step.forward, examples)}
    if step.keep:
        previous, _, *fixed = examples
        saved = pieces["forward"](*examples)[1 : 1 + step.num_saved]
        some = [torch.zeros_like(previous) for _ in "12"]  # one twice would be taken for one
        pieces["backward"] = _piece(step.backward, [*some, previous, *saved, *fixed])
    if step.keep and step.mixing:
        raws = torch.stack([previous for _ in step.edges])
        rows = [raws, *(saved[number] for number in step.feeding), *saved[step.products]]
        many = [row.new_zeros(steps, *row.shape) for row in rows]
        pieces["mixing"] = _piece(step.mixing_grads, many)
    return pieces


def _piece(function: Piece, examples: list[Tensor]) -> Piece:
    # Seconds to import; other versions of torch may lack them.
    from torch import _inductor
    from torch._guards import TracingContext, tracing
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    graph = make_fx(function)(*examples)
    mode = FakeTensorMode(
        shape_env=ShapeEnv(assume_static_by_default=True), allow_non_fake_inputs=True
    )
    with tracing(TracingContext(mode)):  # without, torch would not keep the result on disk
        # Layouts never vary: `_compiled` tells forward's apart, the others' are made contiguous.
        piece: Piece = _inductor.compile(graph, [*examples], options={"size_asserts": False})
    return piece


class _Recurrence:
    """One pass over all time steps, of (mixing, pre, hidden, w0, w of all nodes (8 · 2H, H)).

    Attributes:
        step: a time step.
        norm: BatchNorm of a supernet's states.
        h_mask: dropout mask (B, H) or None.
        pieces: the time step's functions.
        saved: what `step.backward` needs, (T, …) each.
        saved_by_step: views of it.
    """

    pieces: dict[str, Piece]

    def __init__(self, step: Step, norm: Norm | None, h_mask: Tensor | None) -> None:
        self.step, self.norm, self.h_mask = step, norm, h_mask
        self.saved: list[Tensor] = []
        self.saved_by_step: list[tuple[Tensor, ...]] = []

    def fixed(self, tensors: Sequence[Any]) -> list[Tensor]:
        """What all time steps share, as `step` takes it."""
        mixing, _, _, w0, wall = tensors
        columns = [wall[some].t() for some in self.step.columns(2 * wall.shape[1])]
        running = self.norm[:2] if self.norm and self.step.norm == "running" else ()
        some = (w0, *columns, self.h_mask, mixing, *running)
        return [tensor for tensor in some if tensor is not None]

    def forward(self, tensors: Sequence[Any]) -> Tensor:
        """Output (T, B, H)."""
        fixed, count, outputs, moments = self.fixed(tensors), self.step.num_saved, [tensors[2]], []
        rows = tensors[1].unbind()
        for t, row in enumerate(rows):
            output, *rest = self.pieces["forward"](outputs[-1], row, *fixed)
            outputs.append(output)
            if count:  # to where all time steps lie, while the cache still holds them
                if not t:
                    self.saved = [x.new_empty(len(rows), *x.shape) for x in rest[:count]]
                    self.saved_by_step = _by_step(self.saved)
                torch._foreach_copy_(self.saved_by_step[t], rest[:count])
            moments += rest[count:]
        if moments and self.norm:
            self.norm.average(moments, len(output))
        return torch.stack(outputs[1:])

    def backward(self, grad: Tensor, output: Tensor, tensors: Sequence[Any]) -> list[Tensor | None]:
        """Gradients of `tensors`."""
        fixed, previous = self.fixed(tensors), torch.cat([tensors[2][None], output[:-1]])
        carried, grad = torch.zeros_like(tensors[2]), grad.contiguous()
        # Gradients of pre-activations take their place where nobody reads them again.
        grads, mixed = [self.saved[self.step.states]], None
        if self.step.weights:
            zs = self.saved[self.step.products]
            grads += [torch.empty_like(z) for z in zs] if self.step.mixing else zs
        nodes = len(self.step.edges) if self.step.mixing else 0
        raws = output.new_empty(len(output), nodes, *carried.shape)
        steps = _by_step([*grads, *raws.unbind(1)])
        for t in reversed(range(len(output))):
            saved = self.saved_by_step[t]
            carried, *rest = self.pieces["backward"](grad[t], carried, previous[t], *saved, *fixed)
            torch._foreach_copy_(steps[t], rest)
        if self.step.mixing:
            mixed = self._mixing_grad(raws)
        weights: list[Tensor | None] = [None, None]
        if self.step.weights:
            feed = self.step.fixed(fixed).feed
            weights = [weight_grad(feed(previous), grads[0]), self._wall_grad(feed, grads[1:])]
        return [mixed, grads[0], carried, *weights]

    def _wall_grad(self, feed: Callable[[Tensor], Tensor], grads: Sequence[Tensor]) -> Tensor:
        """Of all w, each state's one product over all time steps."""
        size = self.saved[0].shape[2]
        total = grads[0].new_zeros(2 * size * len(self.step.edges), size)
        columns = self.step.columns(2 * size)
        for number, some, grad in zip(self.step.feeding, columns, grads, strict=True):
            total[some] += weight_grad(feed(self.saved[number]), grad).t()
        return total

    def _mixing_grad(self, raws: Tensor) -> Tensor:
        """Of the mixing weights (E, 4), from gradients of the nodes before BatchNorm."""
        feeding, zs = self.step.feeding, self.saved[self.step.products]
        states = [self.saved[number] for number in feeding]
        sums = torch.cat([*self.pieces["mixing"](raws, *states, *zs)], 2)
        edges = [edge for number in feeding for edge in self.step.edges[number]]
        order = sorted(range(len(edges)), key=lambda k: edges[k].row or 0)
        rows = sums.sum(1).unbind(1)
        return torch.stack([rows[k] for k in order])


def _by_step(series: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Views of each time step of some series (T, …)."""
    return list(zip(*(some.unbind() for some in series), strict=True))
