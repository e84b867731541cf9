"""A made-up GPU: tensors with shapes, dtypes and a device, but without values.

torch's "meta" device stands for it, since a build for CPUs lets autograd meet no fake CUDA tensor.
What a step would do on a GPU can so be watched anywhere: reading a value raises, and so does what
brings a tensor of the host together with one of the card.
"""

import contextlib
from collections import Counter
from unittest import mock

import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode,
)
from torch.utils._pytree import tree_leaves

from generalNAS_tools.networks.rhn import compiled

CARD = torch.device("meta")
_ALLOCATING = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}
_FREE = {*_ALLOCATING, "detach", "alias", "lift_fresh", "_unsafe_view", "set_"}
_FUSED = {"_fused_sgd_", "_fused_adam_", "_fused_adamw_"}
"""Kernels of optimizers, which the meta device lacks; they only write what they are given."""


KERNELS = {
    "forward": lambda products: 2 * products + 1,
    "backward": lambda products: 2 * products + 2,
    "mixing_grads": lambda products: 6 * products,
}
"""Of an RHN's compiled step: each product, and what torch fuses between two of them. So many make
torch 2.13's scheduler and its Triton backend, asked about an H100 without one: 19 + 20 a time step
of the supernet."""


class HostAccessError(Exception):
    """Something crossed from the host to the card, or back, within a step."""


class Card(TorchDispatchMode):
    """Counts what launches a kernel; raises where a tensor of the host meets one of the card.

    A number on the host (no dimensions) is an argument of a kernel, unless it is copied.

    Attributes:
        counts: launches by operation: all but views and allocations.
    """

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    @property
    def total(self):
        return self.counts.total()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if func.namespace == "aten" and name not in _FREE and not func.is_view:
            self.counts[name] += 1
        result = None if name in _FUSED else func(*args, **kwargs)
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        copies = name in {"_to_copy", "copy_"}
        places = {t.device.type for t in tensors if t.dim() or copies or t.device == CARD}
        if CARD.type in places and len(places) > 1:
            where = [(tuple(t.shape), t.device.type) for t in tensors]
            raise HostAccessError(f"{func} brings the host and the card together: {where}")
        return result


def compiled_piece(function, examples):
    """In place of a compiled function: launches what that would."""
    kernels = KERNELS[function.__name__](1 + len(function.__self__.feeding))
    with _disable_current_modes():
        results = function(*examples)

    def run(*tensors):
        if isinstance(card := _get_current_dispatch_mode(), Card):
            card.counts[function.__name__] += kernels
        return [torch.empty_like(result) for result in results]

    return run


def _on_cpu(function):
    """Lets a function of autocast, which knows no such device, answer as for a CPU."""
    return lambda kind, *args, **kwargs: function(
        "cpu" if kind == CARD.type else kind, *args, **kwargs
    )


@contextlib.contextmanager
def fake_card():
    """Within the block networks and optimizers accept `CARD` as a device; RHNs are compiled."""
    with contextlib.ExitStack() as stack:
        for name in (
            "torch.optim.optimizer._get_fused_kernels_supported_devices",
            "torch.utils._foreach_utils._get_foreach_kernels_supported_devices",
            "torch.optim.optimizer._get_foreach_kernels_supported_devices",
        ):
            stack.enter_context(mock.patch(name, return_value=[CARD.type]))
        for name in ("autocast", "is_autocast_enabled", "get_autocast_dtype"):
            stack.enter_context(mock.patch.object(torch, name, _on_cpu(getattr(torch, name))))
        stack.enter_context(mock.patch.object(compiled, "_piece", compiled_piece))
        stack.callback(compiled.use, compiled.in_use())
        compiled.use(True)
        yield CARD
