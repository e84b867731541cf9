"""Finds out whether bfloat16 saves time on a processor, or costs it."""

import logging
import time

import torch

from generalNAS_tools.runs.loop_options import LoopOptions

log = logging.getLogger(__name__)

SIZE = 256
SLOW = 4
"""Ratio from which on a processor doesn't compute bfloat16 but imitates it, up to 50 times slower;
one that does is a little faster or slower than in float32."""


def warn_of_slow_amp(loop: LoopOptions) -> None:
    """Measures one product on a processor with --amp; GPUs are left alone."""
    if not loop.amp or loop.device.type != "cpu":
        return
    ratio = _seconds(torch.bfloat16) / _seconds(torch.float32)
    if ratio >= SLOW:
        log.warning(
            "--amp: bfloat16 takes %.0f times as long as float32 on this processor, leave it out",
            ratio,
        )


def _seconds(dtype: torch.dtype) -> float:
    """Of a product, the shortest of some."""
    matrix, times = torch.ones(SIZE, SIZE, dtype=dtype), []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return min(times)
