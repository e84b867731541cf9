"""Runs code that asks for float32 in float64, so that its results don't hang on the processor.

Alphas step along their gradient's sign at first, pooling and edges are chosen by comparison: what
differs in the seventh digit from one vector unit to the next soon differs in the second.
"""

import contextlib
import functools
import gc
import sys

import torch
from torch.overrides import TorchFunctionMode


class _Widened(TorchFunctionMode):
    def __torch_function__(self, function, _, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        named = {name: _wide(value) for name, value in (kwargs or {}).items()}
        return function(*map(_wide, args), **named)


def _wide(value):
    return torch.float64 if value is torch.float32 else value


def _forget_tensors():
    """Empties the project's caches, which may hold tensors of the other precision."""
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper):
            folder = found.__module__.partition(".")[0]
            if folder not in {*sys.stdlib_module_names, "torch", "tests"}:
                found.cache_clear()


@contextlib.contextmanager
def double_precision():
    before = torch.get_default_dtype()
    _forget_tensors()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widened():
            yield
    finally:
        torch.set_default_dtype(before)
        _forget_tensors()
