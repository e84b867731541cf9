"""Size and speed of a trained network: parameters, multiply-adds, seconds a sequence.

python -m benchmarks.comparison.measure --model=... --output=measured.json
"""

import json
import statistics
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from baseline_models.networks import build_baseline
from benchmarks.machine import count_operations
from benchmarks.settings import seconds_of
from generalNAS_tools.files.atomic_files import atomic_write
from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.files.model_files import load_final_model
from generalNAS_tools.runs.command import pick_device, run_command
from generalNAS_tools.runs.flags import flag, parse_options, whole


@dataclass(frozen=True, kw_only=True)
class MeasuredOptions:
    """What is measured."""

    title: ClassVar = None
    model: str = flag(str, ..., "the model (.pth), of a found network or a baseline")
    output: str = flag(str, ..., "where the figures go (.json)")
    device: str = flag(str, "auto", "cpu or cuda")
    batch_size: int = flag(whole(1), 64, "sequences a batch")
    repeats: int = flag(whole(1), 5, "timed batches; the median counts")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    measured: MeasuredOptions


class Trained(NamedTuple):
    """A network with its weights, and the length of its input in bp."""

    network: nn.Module
    seq_size: int


def load_any(path: str) -> Trained:
    """A found network or a baseline.

    Raises:
        ValueError: the file is missing, damaged or holds neither.
    """
    state = load_weights(path)
    if "baseline" not in state:
        model = load_final_model(path)
        return Trained(model.network, model.options.seq_size)
    size = {name: state[name] for name in ("seq_size", "num_targets")}
    network = build_baseline(state["baseline"], **size)
    network.load_state_dict(state["weights"])
    return Trained(network, size["seq_size"])


def measure(trained: Trained, device: torch.device, options: MeasuredOptions) -> dict[str, Any]:
    """Parameters, multiply-adds of one sequence, and seconds a sequence takes in a batch."""
    network = trained.network.to(device).eval()
    x = torch.zeros(options.batch_size, 4, trained.seq_size, device=device)
    with torch.inference_mode(), count_operations() as counter:
        network(x[:1])
    with torch.inference_mode():
        taken = [seconds_of(lambda: network(x), device) for _ in range(options.repeats + 1)]
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
        "inference_seconds": statistics.median(taken[1:]) / options.batch_size,
    }


def main() -> None:
    """Measures a model and writes what it found."""
    options = parse_options(Options, __doc__).measured
    figures = measure(load_any(options.model), pick_device(options.device), options)
    with atomic_write(options.output) as file:
        file.write(json.dumps(figures, indent=1).encode() + b"\n")


if __name__ == "__main__":
    run_command(main)
