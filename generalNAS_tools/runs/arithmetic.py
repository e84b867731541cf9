"""How a run computes: TensorFloat-32, compiled time steps, bfloat16."""

import logging
import timeit

import torch

from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.runs.options import RunOptions

log = logging.getLogger(__name__)

SIZE = 256
SLOW = 4
"""Ratio from which on a processor doesn't compute bfloat16 but imitates it, up to 50 times slower;
one that does is a little faster or slower than in float32."""


def compile_mode(run: RunOptions, device: torch.device) -> str:
    """What --compile means on a device: on or off."""
    auto = "on" if device.type == "cuda" else "off"
    return auto if run.compile == "auto" else run.compile


def set_arithmetic(run: RunOptions, device: torch.device) -> None:
    """Sets what holds for all networks of this process; warns of --amp where it costs time.

    Float32 products and convolutions on a GPU run in TensorFloat-32 only if asked to; BatchNorms
    have kernels of their own there, which it never reaches.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = run.tf32
    compiled.use(compile_mode(run, device) == "on")
    measured = run.amp and device.type == "cpu"
    if measured and (ratio := _seconds(torch.bfloat16) / _seconds(torch.float32)) >= SLOW:
        log.warning(
            "--amp: bfloat16 takes %.0f times as long as float32 on this processor, leave it out",
            ratio,
        )


def _seconds(dtype: torch.dtype) -> float:
    """Of a product, the shortest of some."""
    matrix = torch.ones(SIZE, SIZE, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, repeat=4, number=1))
