"""What all benchmarks share: their flags, the frame of the networks, and how they report."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from generalNAS_tools.files.atomic_files import atomic_write, check_writable
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.arithmetic import set_arithmetic
from generalNAS_tools.runs.command import keep_freed_memory, pick_device, seed_everything
from generalNAS_tools.runs.flags import as_config, flag, switch, whole
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import LengthOptions, RunOptions, WeightOptions


@dataclass(frozen=True, kw_only=True)
class MeasuringOptions:
    """What is measured, and how often."""

    title: ClassVar = None
    seq_size: int = flag(whole(1), 1000, "sequence length in bp")
    num_targets: int = flag(whole(1), 919, "number of targets")
    batch_size: int = flag(whole(2), 64, "sequences a step")
    repeats: int = flag(whole(1), 3, "timed runs of each kind of work")
    threads: int = flag(whole(1), torch.get_num_threads(), "CPU threads")
    device: str = flag(str, "auto", "cpu or cuda")
    compile: str = flag(
        str, "auto", "compile the fast form, as in searches", choices=["auto", "on", "off"]
    )
    amp: bool = switch(False, "bfloat16 matrix work; in the fast form, where two are compared")
    output: str = flag(str, "bench.json", "where the figures go")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of every benchmark."""

    network: FrameOptions
    length: LengthOptions
    weights: WeightOptions
    measuring: MeasuringOptions

    @property
    def frame(self) -> NetworkOptions:
        """The frame of the measured networks."""
        chosen = self.measuring
        return self.network.network(seq_size=chosen.seq_size, num_targets=chosen.num_targets)

    def loop(self, device: torch.device, *, amp: bool = False) -> LoopOptions:
        """How a step is done."""
        weights = self.weights
        size = self.measuring.batch_size
        return LoopOptions(
            size,
            1,
            0,
            device,
            amp=amp,
            beta=weights.beta,
            clipping=weights.clipping,
            cuda_graph=device.type == "cuda",
        )

    def set_up(self) -> torch.device:
        """Sets threads, picks the device; all else as in real runs."""
        check_writable(self.measuring.output)
        torch.set_num_threads(self.measuring.threads)
        keep_freed_memory()
        seed_everything(0)
        device = pick_device(self.measuring.device)
        set_arithmetic(RunOptions(compile=self.measuring.compile), device)
        return device


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that some work takes, the device's part included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def write_report(options: Any, results: Any) -> None:
    """Writes the figures and how they were obtained to --output, as JSON."""
    report = {"settings": {**as_config(options), "torch": torch.__version__}, "results": results}
    with atomic_write(options.measuring.output) as file:
        file.write(json.dumps(report, indent=1).encode())
