"""Products of matrices by the library that is fastest on this processor.

On a CPU torch multiplies float32 matrices by MKL, which leaves AVX-512 to Intel's processors; on
AMD's oneDNN, by which torch convolves, takes half as long.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

_LEAST = 1 << 20
"""Multiplications of a product from which on oneDNN's longer call pays."""
_library = torch.library.Library("genomenas", "DEF")
_library.define("multiply(Tensor a, Tensor b) -> Tensor")
PRODUCT = torch.ops.genomenas.multiply
"""By oneDNN."""


def multiply(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices (M, K) and (K, N), written into `out` if there is one.

    Without gradient: for autograd functions, and where none is wanted.
    """
    if not _suits(a, b):
        return torch.mm(a, b, out=out)
    product: Tensor = PRODUCT(a, b)
    return product if out is None else out.copy_(product)


def add_multiplied(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Adds the product of matrices (M, K) and (K, N) to `total`, in place."""
    if _suits(a, b):
        total.add_(PRODUCT(a, b))
    else:
        total.addmm_(a, b)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Maps x: (..., K) → (..., N) by a matrix (N, K), then adds bias (N,); with gradient."""
    if torch.is_autocast_enabled(x.device.type) or not _suits(x, weight.t()):
        return functional.linear(x, weight, bias)
    product: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight)
    product = product.view(*x.shape[:-1], -1)
    return product if bias is None else product + bias


class Dense(nn.Linear):
    """A dense layer, by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps x: (..., K) → (..., N)."""
        return linear(x, self.weight, self.bias)


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        of_x, of_weight = ctx.needs_input_grad
        ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
        return multiply(x, weight.t())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = None if weight is None else _Linear.apply(grad, weight.t())
        return grad_x, None if x is None else _Linear.apply(grad.t(), x.t())


def _suits(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN is to multiply matrices; never in a program for others (torch.export)."""
    single = a.dtype == b.dtype == torch.float32 and a.device.type == "cpu"
    if torch.compiler.is_compiling() or not single or a.shape[-1] != len(b):
        return False
    return a.numel() * b.shape[1] >= _LEAST and _by_onednn()


@cache
def _by_onednn() -> bool:
    """Whether oneDNN is the faster one."""
    path = Path("/proc/cpuinfo")
    amd = path.exists() and "AuthenticAMD" in path.read_text(encoding="utf-8")
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return amd and wide and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    # oneDNN takes minutes for a matrix that is dense in neither order.
    a, b = (x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous() for x in (a, b))
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return product


_library.impl("multiply", _multiply, "CPU")
torch.library.register_fake(
    "genomenas::multiply", lambda a, b: a.new_empty(len(a), b.shape[1]), lib=_library
)
