"""How a run computes: TensorFloat-32, compiled time steps."""

import torch

from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.runs.options import RunOptions


def compile_mode(run: RunOptions, device: torch.device) -> str:
    """What --compile means on a device: on or off."""
    auto = "on" if device.type == "cuda" else "off"
    return auto if run.compile == "auto" else run.compile


def set_arithmetic(run: RunOptions, device: torch.device) -> None:
    """Sets what holds for all networks of this process.

    Float32 products and convolutions on a GPU run in TensorFloat-32 only if asked to; BatchNorms
    have kernels of their own there, which it never reaches.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = run.tf32
    compiled.use(compile_mode(run, device) == "on")
