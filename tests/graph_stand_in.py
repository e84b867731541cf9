"""A CUDA graph's stand-in on the CPU: remembers work, and does it again into the same results."""

import dataclasses

from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.training import captured_step


class StandIn:
    """As `CudaGraph`, whose warm-up and capture leave everything changed too.

    Attributes:
        made, replays: of all of them.
    """

    made = replays = 0

    def __init__(self, device):
        type(self).made += 1

    def record(self, work):
        self._work, self._results = work, work()
        return self._results

    def replay(self):
        type(self).replays += 1
        for old, new in zip(self._results, self._work(), strict=True):
            old.copy_(new)


def capture_here(monkeypatch, graph=StandIn):
    """Captures the steps of this process, with a kind of graph; gives a fresh one to count by."""
    counted = type("Counted", (graph,), {"made": 0, "replays": 0})
    monkeypatch.setattr(captured_step, "CudaGraph", counted)
    monkeypatch.setattr(captured_step._Off, "reason", "")
    whole = LoopOptions.of.__func__

    def of(cls, *given, **options):
        return dataclasses.replace(whole(cls, *given, **options), cuda_graph=True)

    monkeypatch.setattr(LoopOptions, "of", classmethod(of))
    return counted
