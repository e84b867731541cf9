"""The recurrent highway cell (RHN) of the supernet and that of a final network.

Zilly et al., "Recurrent Highway Networks" (2017), with the search space of Liu et al., "DARTS"
(2019): 8 nodes, each a highway step from earlier states. The recurrences run in
`search_kernel` and `final_kernel`; here are parameters, dropout and checks.

T time steps, B batch, H hidden.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from generalNAS_tools.networks.matrix_product import linear
from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.networks.rhn.final_kernel import FinalRecurrence
from generalNAS_tools.networks.rhn.kernels import STATES, RHNInputs
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import (
    MASK_SHAPE,
    SEARCH_EDGES,
    final_edges,
    final_plan,
    search_plan,
)
from generalNAS_tools.networks.rhn.recurrence import run
from generalNAS_tools.networks.rhn.search_kernel import SearchRecurrence
from generalNAS_tools.search_space.edge_masks import BoolArray
from generalNAS_tools.search_space.genotypes import NONE, RHN_NODES, Gene

INITIAL_RANGE = 0.04


class VariationalDropout(nn.Module):
    """Draws one mask for all time steps (Gal & Ghahramani, 2016)."""

    def __init__(self, rate: float, name: str) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"{name} is {rate}; expected a rate in [0, 1)")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor | None:
        """A mask (B, H) for x (T, B, H); None where nothing is dropped."""
        if not self.training or self.rate == 0:
            return None
        return x.new_empty(x.shape[1:]).bernoulli_(1 - self.rate).div_(1 - self.rate)


class RHN(nn.Module):
    """Parameters, dropout and the input's part, common to both cells.

    Args:
        hidden_size: H.
        dropoutx: dropout rate of the input.
        dropouth: dropout rate of the states before each product.
    """

    def __init__(self, hidden_size: int, *, dropoutx: float = 0.0, dropouth: float = 0.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.dropoutx = VariationalDropout(dropoutx, "dropoutx")
        self.dropouth = VariationalDropout(dropouth, "dropouth")
        self.W0 = _uniform(2 * hidden_size, 2 * hidden_size)
        self.W = nn.ParameterList(_uniform(hidden_size, 2 * hidden_size) for _ in range(RHN_NODES))

    def _inputs(
        self, x: Tensor, hidden: Tensor | None, parts: Sequence[Any], w: Sequence[Tensor]
    ) -> RHNInputs:
        """Checks x (T, B, H) and hidden (1, B, H) and applies the upper half of W0 to x."""
        if x.dim() != 3 or x.shape[2] != self.hidden_size:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {self.hidden_size})")
        expected = (1, *x.shape[1:])
        if hidden is not None and hidden.shape != expected:
            raise ValueError(f"hidden has shape {tuple(hidden.shape)}; expected {expected}")
        states, products = _dtypes(x, self.W0)
        x_mask, h_mask = self.dropoutx(x), self.dropouth(x)
        start = x.new_zeros(x.shape[1:]) if hidden is None else hidden[0]
        with torch.autocast(x.device.type, enabled=False):
            fed = (x if x_mask is None else x * x_mask).to(products)
            w0 = self.W0.to(products)
            return RHNInputs(
                *(parts, None, None if h_mask is None else h_mask.to(states), None),
                pre=linear(fed, w0[: self.hidden_size].t()).contiguous(),
                hidden=start.to(states).contiguous(),
                w0=w0[self.hidden_size :],
                w=tuple(matrix.to(products) for matrix in w),
            )


class SearchRHN(RHN):
    """RHN cell of the supernet: every node mixes all its active edges.

    Gradients of weights that need none are not computed, so an alpha step should switch off
    `requires_grad` of the weights (naming the alphas to autograd is not enough). The backward
    pass runs once per forward pass.

    Args:
        hidden_size: H.
        mask: (36, 5), primitives that exist; edges with none but `none` are never computed.
        dropout: rates `dropoutx` and `dropouth`, see `RHN`.

    Attributes:
        running_mean: of the BatchNorm that all states share, (H,); its variance likewise.
        num_batches_tracked: how many states the running statistics average.
        momentum: weight of a new state in them; None for their average.
        averaged: how many states such an average holds; the host's own count.
        batch_statistics: normalise by the batch in evaluation mode too, and leave the running
            statistics alone.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    exists: Tensor

    def __init__(self, hidden_size: int, mask: BoolArray, **dropout: float) -> None:
        super().__init__(hidden_size, **dropout)
        self.mask = _checked(mask, "mask")
        self.momentum: float | None = 0.1
        self.averaged = 0
        self.batch_statistics = False
        self.register_buffer("running_mean", torch.zeros(hidden_size))
        self.register_buffer("running_var", torch.ones(hidden_size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))
        self.register_buffer("exists", torch.from_numpy(self.mask), persistent=False)

    def forward(
        self,
        x: Tensor,
        mixing: Tensor,
        hidden: Tensor | None = None,
        *,
        active: BoolArray | None = None,
    ) -> Tensor:
        """Runs the cell over all time steps.

        Args:
            x: (T, B, H).
            mixing: weight per (edge, primitive), (36, 5); ignored outside the supernet's mask.
            hidden: state before the first time step, (1, B, H); zeros if absent.
            active: (36, 5), the part of the mask to compute, outside of which `mixing` is 0;
                all of it if absent.

        Returns:
            The mean of the nodes' states at every time step, (T, B, H).

        Raises:
            ValueError: a shape is wrong, `active` leaves the mask, or a training batch has
                one sequence only.
        """
        if mixing.shape != MASK_SHAPE:
            raise ValueError(f"mixing has shape {tuple(mixing.shape)}; expected {MASK_SHAPE}")
        mask = self.mask if active is None else _checked(active, "active")
        if (mask & ~self.mask).any():
            raise ValueError("active sets primitives outside the supernet's mask")
        plan = search_plan(mask.tobytes())
        inputs = self._inputs(x, hidden, plan.nodes, list(self.W))
        weights = (mixing * self.exists)[:, NONE + 1 :].to(inputs.hidden.dtype)
        inputs = inputs._replace(mixing=weights, norm=self._norm(*x.shape[:2]))
        output = compiled.run(SEARCH_EDGES, inputs)
        if output is not None:
            return output
        if len(plan.edges) < len(mask):
            rows = weights.unbind()
            weights = (
                torch.stack([rows[edge] for edge in plan.edges]) if plan.edges else weights[:0]
            )
        return run(SearchRecurrence, inputs._replace(mixing=weights))

    def _norm(self, steps: int, batch: int) -> Norm:
        by_batch = self.training or self.batch_statistics
        if by_batch and batch < 2:
            raise ValueError(f"a batch of {batch} has no batch statistics; expected 2 sequences")
        mean, var, seen = self.running_mean, self.running_var, self.averaged
        if self.training:
            self.num_batches_tracked.add_(STATES * steps)
            self.averaged += STATES * steps
        elif by_batch:
            mean, var = mean.clone(), var.clone()  # the kernel updates what it is given
        return Norm(mean, var, self.momentum, seen, by_batch)


class FinalRHN(RHN):
    """RHN cell of a final network: one predecessor and one activation per node.

    Args:
        hidden_size: H.
        genes: eight pairs (activation, state).
        dropout: rates `dropoutx` and `dropouth`, see `RHN`.
    """

    def __init__(self, hidden_size: int, genes: Sequence[Gene], **dropout: float) -> None:
        super().__init__(hidden_size, **dropout)
        self.groups, self.members = final_plan(genes)
        self.edges = final_edges(self.groups)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Runs the cell over all time steps.

        Args:
            x: (T, B, H).
            hidden: state before the first time step, (1, B, H); zeros if absent.

        Returns:
            The mean of the nodes' states at every time step, (T, B, H).

        Raises:
            ValueError: a shape is wrong.
        """
        w = [torch.cat([self.W[i] for i in nodes], 1) for nodes in self.members]
        inputs = self._inputs(x, hidden, self.groups, w)
        output = compiled.run(self.edges, inputs)
        return run(FinalRecurrence, inputs) if output is None else output


def _uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape).uniform_(-INITIAL_RANGE, INITIAL_RANGE))


def _dtypes(x: Tensor, weight: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Dtype of states and of products, the latter lower under autocast.

    Raises:
        ValueError: a float16 product, whose range the recurrence leaves.
    """
    kind = x.device.type
    lowered = torch.is_autocast_enabled(kind) and weight.dtype != torch.float64
    products = torch.get_autocast_dtype(kind) if lowered else weight.dtype
    if products == torch.float16:
        raise ValueError("the RHN runs in float64, float32 or bfloat16; got float16")
    return torch.promote_types(weight.dtype, torch.float32), products


def _checked(mask: BoolArray, name: str) -> BoolArray:
    mask = np.array(mask)
    if mask.shape != MASK_SHAPE or mask.dtype != np.bool_:
        raise ValueError(f"{name} is {mask.dtype} {mask.shape}; expected bool {MASK_SHAPE}")
    return mask
