"""Products of matrices by the library that is fastest on this processor.

On a CPU torch multiplies float32 matrices by MKL, which leaves AVX-512 to Intel's processors; on
AMD's oneDNN, by which torch convolves, takes half as long.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_LEAST = 1 << 20
"""Multiplications of a product from which on oneDNN's longer call pays."""
_library = torch.library.Library("genomenas", "DEF")
_library.define("multiply(Tensor a, Tensor b) -> Tensor")


def multiply(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices (M, K) and (K, N), written into `out` if there is one.

    Without gradient: for autograd functions, and where none is wanted.
    """
    if not _suits(a, b):
        return torch.mm(a, b, out=out)
    product: Tensor = torch.ops.genomenas.multiply(a, b)
    return product if out is None else out.copy_(product)


def add_multiplied(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Adds the product of matrices (M, K) and (K, N) to `total`, in place."""
    if _suits(a, b):
        total.add_(torch.ops.genomenas.multiply(a, b))
    else:
        total.addmm_(a, b)


def _suits(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN is to multiply two matrices; never in a program for others (torch.export)."""
    single = a.dtype == torch.float32 and a.device.type == "cpu"
    if torch.compiler.is_compiling() or not single:
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
