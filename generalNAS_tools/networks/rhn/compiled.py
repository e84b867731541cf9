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
        piece: Piece = _inductor.compile(graph, [*examples])
    return piece


class _Recurrence:
    """One pass over all time steps, of (mixing, pre, hidden, w0, w of all nodes (8 · 2H, H)).

    Attributes:
        step: a time step.
        norm: BatchNorm of a supernet's states.
        h_mask: dropout mask (B, H) or None.
        pieces: the time step's functions.
        saved: by time step what `step.backward` needs.
    """

    pieces: dict[str, Piece]

    def __init__(self, step: Step, norm: Norm | None, h_mask: Tensor | None) -> None:
        self.step, self.norm, self.h_mask = step, norm, h_mask
        self.saved: list[Sequence[Tensor]] = []

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
        for row in tensors[1].unbind():
            output, *rest = self.pieces["forward"](outputs[-1], row, *fixed)
            outputs.append(output)
            self.saved.append(rest[:count])
            moments += rest[count:]
        if moments and self.norm:
            self.norm.average(moments, len(output))
        return torch.stack(outputs[1:])

    def backward(self, grad: Tensor, output: Tensor, tensors: Sequence[Any]) -> list[Tensor | None]:
        """Gradients of `tensors`."""
        fixed, previous = self.fixed(tensors), [tensors[2], *output[:-1].unbind()]
        carried, results, grad = torch.zeros_like(tensors[2]), [], grad.contiguous()
        for t in reversed(range(len(output))):
            carried, *rest = self.pieces["backward"](
                grad[t], carried, previous[t], *self.saved[t], *fixed
            )
            results.append(rest)
            if not self.step.mixing:
                self.saved[t] = self.saved[t][: self.step.states]  # frees the pre-activations
        grads = list(zip(*reversed(results), strict=True))
        results.clear()
        mixed, own = None, 1 + len(self.step.feeding) if self.step.weights else 1
        if self.step.mixing:
            mixed = self._mixing_grad(
                [row for rows in zip(*grads[own:], strict=True) for row in rows]
            )
        grad_pre = torch.stack(grads.pop(0))
        weights: list[Tensor | None] = [None, None]
        if self.step.weights:
            feed = self.step.fixed(fixed).feed
            weights = [
                weight_grad(feed(torch.stack(previous)), grad_pre),
                self._wall_grad(feed, grads),
            ]
        return [mixed, grad_pre, carried, *weights]

    def _states(self, number: int) -> Tensor:
        """A state at all time steps, (T, B, H)."""
        return torch.stack([saved[number] for saved in self.saved])

    def _wall_grad(self, feed: Callable[[Tensor], Tensor], grads: list[Any]) -> Tensor:
        """Of all w, each state's one product over all time steps."""
        size = self.saved[0][0].shape[1]
        total = grads[0][0].new_zeros(2 * size * len(self.step.edges), size)
        for number, some in zip(self.step.feeding, self.step.columns(2 * size), strict=True):
            total[some] += weight_grad(feed(self._states(number)), torch.stack(grads.pop(0))).t()
        return total

    def _mixing_grad(self, raws: list[Tensor]) -> Tensor:
        """Of the mixing weights (E, 4), from gradients of the nodes, one after the other."""
        feeding, saved = self.step.feeding, zip(*self.saved, strict=True)
        grads = torch.stack(raws).unflatten(0, (-1, len(self.step.edges)))
        zs = [torch.stack(some) for some in [*saved][self.step.products]]
        sums = torch.cat([*self.pieces["mixing"](grads, *map(self._states, feeding), *zs)], 2)
        edges = [edge for number in feeding for edge in self.step.edges[number]]
        order = sorted(range(len(edges)), key=lambda k: edges[k].row or 0)
        rows = sums.sum(1).unbind(1)
        return torch.stack([rows[k] for k in order])
