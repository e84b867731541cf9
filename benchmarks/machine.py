"""What a measurement ran on: the processor or card, its software, and its matrix peak."""

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

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


def peak_product(device: torch.device) -> tuple[Callable[[], Any], int]:
    """A large float32 matrix product, and its floating-point operations."""
    side = SIDE[device.type]
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    return lambda: left @ right, 2 * side**3


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
