"""What the tests let torchrun start: runs scripts on every rank in float64.

Its one argument is a JSON file with `runs` (script and command line each), and what happens to
which rank at which weight step: `trouble` (kill, stop, spoil or a fault's name), `rank`, `step`.
"""

import contextlib
import functools
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from unittest import mock

import torch

from generalNAS_tools.files import ranks
from generalNAS_tools.training import train_loop
from tests.scripts.double_precision import double_precision
from tests.scripts.in_process import ROOT

FAULTS = {"full": OSError(28, "No space left on device", "there"), "ours": KeyError("a fault")}


@contextlib.contextmanager
def no_dropout():
    """Turns off what no flag does, in the baselines."""
    with mock.patch("torch.nn.Dropout.forward", lambda _, x: x):
        yield


def in_trouble(task):
    """A weight step that first brings its rank into trouble, when its time has come."""
    original, calls = train_loop.weight_step, []

    def weight_step(network, *args, **options):
        calls.append(1)
        if ranks.number() == task["rank"] and len(calls) == task["step"]:
            if task["trouble"] in FAULTS:
                raise FAULTS[task["trouble"]]
            if task["trouble"] == "spoil":
                with torch.no_grad():
                    next(network.parameters()).mul_(2)
            else:
                number = {"kill": signal.SIGKILL, "stop": signal.SIGTERM}[task["trouble"]]
                os.kill(os.getpid(), number)
        return original(network, *args, **options)

    return mock.patch.object(train_loop, "weight_step", weight_step)


def patient_end():
    """The end of the communication waits for all ranks, as NCCL's does."""
    end = functools.partial(time.sleep, 600)
    return mock.patch("torch.distributed.destroy_process_group", end)


def main():
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch("matplotlib.figure.Figure.savefig"))
        stack.enter_context(no_dropout())
        if "trouble" in task:
            stack.enter_context(in_trouble(task))
            if task["trouble"] in FAULTS:
                stack.enter_context(patient_end())
        for script, line in task["runs"]:
            sys.argv = [script, *line]
            with double_precision():
                runpy.run_path(str(ROOT / script), run_name="__main__")


if __name__ == "__main__":
    main()
