"""The recurrent highway cell (RHN) of the supernet and that of a final network.

Zilly et al., "Recurrent Highway Networks" (2017), with the search space of Liu et al., "DARTS"
(2019): 8 nodes, each a highway step from earlier states. The recurrences run in
`rhn_search_kernel` and `rhn_final_kernel`; here are parameters, dropout and checks.

T time steps, B batch, H hidden.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from generalNAS_tools.networks.rhn.final_kernel import FinalRecurrence, final_forward
from generalNAS_tools.networks.rhn.kernels import STATES, Drive
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import MASK_SHAPE, final_plan, search_plan
from generalNAS_tools.networks.rhn.search_kernel import SearchRecurrence, search_forward
from generalNAS_tools.search_space.edge_masks import BoolArray
from generalNAS_tools.search_space.genotypes import NONE, RHN_NODES, Gene

INITIAL_RANGE = 0.04


class _RHN(nn.Module):
    """Parameters, dropout and the input's part, common to both cells."""

    def __init__(self, hidden_size: int, dropoutx: float, dropouth: float) -> None:
        super().__init__()
        for name, rate in (("dropoutx", dropoutx), ("dropouth", dropouth)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name} is {rate}; expected a rate in [0, 1)")
        self.hidden_size, self.dropoutx, self.dropouth = hidden_size, dropoutx, dropouth
        self.W0 = _uniform(2 * hidden_size, 2 * hidden_size)
        self.W = nn.ParameterList(_uniform(hidden_size, 2 * hidden_size) for _ in range(RHN_NODES))

    def _dropout_mask(self, x: Tensor, rate: float) -> Tensor | None:
        """Variational dropout (Gal & Ghahramani, 2016): one mask (B, H) for all time steps."""
        if not self.training or rate == 0:
            return None
        return x.new_empty(x.shape[1:]).bernoulli_(1 - rate).div_(1 - rate)

    def _drive(self, x: Tensor, hidden: Tensor | None, w: Sequence[Tensor]) -> Drive:
        """Checks x (T, B, H) and hidden (1, B, H) and applies the upper half of W0 to x."""
        if x.dim() != 3 or x.shape[2] != self.hidden_size:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {self.hidden_size})")
        expected = (1, *x.shape[1:])
        if hidden is not None and hidden.shape != expected:
            raise ValueError(f"hidden has shape {tuple(hidden.shape)}; expected {expected}")
        states, products = _dtypes(x, self.W0)
        x_mask = self._dropout_mask(x, self.dropoutx)
        h_mask = self._dropout_mask(x, self.dropouth)
        start = x.new_zeros(x.shape[1:]) if hidden is None else hidden[0]
        with torch.autocast(x.device.type, enabled=False):
            fed = (x if x_mask is None else x * x_mask).to(products)
            w0 = self.W0.to(products)
            return Drive(
                (fed @ w0[: self.hidden_size]).contiguous(),
                start.to(states).contiguous(),
                w0[self.hidden_size :],
                tuple(matrix.to(products) for matrix in w),
                None if h_mask is None else h_mask.to(states),
            )


class SearchRHN(_RHN):
    """RHN cell of the supernet: every node mixes all its active edges.

    Gradients of weights that need none are not computed, so an alpha step should switch off
    `requires_grad` of the weights (naming the alphas to autograd is not enough). The backward
    pass runs once per forward pass.

    Args:
        hidden_size: H.
        mask: (36, 5), primitives that exist; edges with none but `none` are never computed.
        dropoutx: dropout rate of the input.
        dropouth: dropout rate of the states before each product.
    """

    def __init__(
        self, hidden_size: int, mask: BoolArray, *, dropoutx: float = 0.0, dropouth: float = 0.0
    ) -> None:
        super().__init__(hidden_size, dropoutx, dropouth)
        self.mask = _checked(mask, "mask")
        self.bn = nn.BatchNorm1d(hidden_size, affine=False)

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
            mixing: weight per (edge, primitive), (36, 5); ignored outside the mask.
            hidden: state before the first time step, (1, B, H); zeros if absent.
            active: (36, 5), the part of the mask to compute; all of it if absent.

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
        plan = search_plan(mask.tobytes(), str(x.device))
        drive = self._drive(x, hidden, list(self.W))
        weights = (mixing.index_select(0, plan.edges) * plan.mask)[:, NONE + 1 :]
        weights = weights.to(drive.hidden.dtype)
        norm = self._norm(*x.shape[:2])
        with torch.autocast(x.device.type, enabled=False):
            tensors = (weights, *drive.tensors)
            if _needs_grad(tensors):
                result: Tensor = SearchRecurrence.apply(plan.nodes, norm, drive.h_mask, *tensors)
                return result
            return search_forward(drive, plan.nodes, norm, weights, keep=False)[0]

    def _norm(self, steps: int, batch: int) -> Norm:
        bn = self.bn
        if bn.training and batch < 2:
            raise ValueError(f"a batch of {batch} has no batch statistics; expected 2 sequences")
        assert bn.running_mean is not None
        assert bn.running_var is not None
        assert bn.num_batches_tracked is not None
        seen = int(bn.num_batches_tracked) if bn.momentum is None else 0
        if bn.training:
            bn.num_batches_tracked.add_(STATES * steps)
        return Norm(bn.running_mean, bn.running_var, bn.momentum, bn.eps, seen, bn.training)


class FinalRHN(_RHN):
    """RHN cell of a final network: one predecessor and one activation per node.

    Args:
        hidden_size: H.
        genes: eight pairs (activation, state).
        dropoutx: dropout rate of the input.
        dropouth: dropout rate of the states before each product.
    """

    def __init__(
        self,
        hidden_size: int,
        genes: Sequence[Gene],
        *,
        dropoutx: float = 0.0,
        dropouth: float = 0.0,
    ) -> None:
        super().__init__(hidden_size, dropoutx, dropouth)
        self.groups, self.members = final_plan(genes)

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
        drive = self._drive(x, hidden, w)
        with torch.autocast(x.device.type, enabled=False):
            if _needs_grad(drive.tensors):
                result: Tensor = FinalRecurrence.apply(self.groups, drive.h_mask, *drive.tensors)
                return result
            return final_forward(drive, self.groups, keep=False)[0]


def _uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape).uniform_(-INITIAL_RANGE, INITIAL_RANGE))


def _needs_grad(tensors: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


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
