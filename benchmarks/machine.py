"""What a measurement ran on, its matrix peak, and what arithmetic the work needed."""

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from generalNAS_tools.networks.matrix_product import PRODUCT, multiply

SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows of the square matrices whose product tells the peak."""


def describe(device: torch.device, threads: int) -> str:
    """Card, driver and versions, or processor and threads, in one line."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device.type == "cuda":
        card = torch.cuda.get_device_name(device)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return (
            f"{card} ({memory:.0f} GiB), driver {_driver()}, CUDA {torch.version.cuda}, {versions}"
        )
    return f"{_processor()}, {threads} threads, {versions}"


def count_operations() -> FlopCounterMode:
    """Counts floating-point operations within a block; `get_total_flops` gives them."""
    return FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.aten.convolution_backward: _convolution_backward,
            PRODUCT: lambda a, b, out_shape: 2 * a[0] * a[1] * b[1],
        },
    )


def _convolution_backward(*shapes: Any, out_shape: Any) -> int:
    """Each gradient costs what the forward pass does; torch's own count forgets the groups."""
    grad, x, weight, *_, transposed, _, _, wanted = shapes
    return sum(wanted[:2]) * conv_flop_count(x, weight, grad, transposed=transposed)


def peak_product(device: torch.device) -> tuple[Callable[[], Any], int]:
    """A large float32 matrix product, as fast as the device has it, and its operations."""
    side = SIDE[device.type]
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    return lambda: multiply(left, right), 2 * side**3


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
