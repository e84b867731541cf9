"""Steps captured as a CUDA graph: thousands of kernels for the price of one launch.

What a step does must not change between its calls but for the batch. So a step is captured anew
for every epoch, whose learning rates and dropout rates are numbers within the graph: some steps
more an epoch, and neither rates nor masks have to be tensors.
"""

import contextlib
import functools
import gc
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.files import ranks
from generalNAS_tools.files.checkpoints import random_states, set_random_states
from generalNAS_tools.runs.loop_options import LoopOptions

log = logging.getLogger(__name__)

Step = Callable[[Batch], tuple[Tensor, ...]]
Changed = Sequence[nn.Module | torch.optim.Optimizer]
State = tuple[dict[Any, Tensor], dict[str, Any]]

_WARM_UP = 3
"""Steps before a capture, in which libraries choose their kernels and allocate what they keep."""


class CudaGraph:
    """A graph of a device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Works some times, then captures the work, which this doesn't do; gives its results."""
        gc.collect()  # networks and graphs of stages that are over
        with torch.cuda.device(self._device):
            main, side = torch.cuda.current_stream(), _side_stream(self._device)
            side.wait_stream(main)
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    work()
            main.wait_stream(side)
            self._graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
            try:
                with torch.cuda.graph(self._graph, pool, side):
                    return work()
            except Exception as error:
                # torch stays on the capture's stream, and before 2.13 its generator in capture.
                torch.cuda.set_stream(main)
                index = torch.cuda.current_device()
                generator = torch.cuda.default_generators[index]
                generator.graphsafe_set_state(generator.clone_state())
                with contextlib.suppress(RuntimeError):  # the allocator has left it already
                    torch._C._cuda_endAllocateToPool(index, pool)
                    torch._C._cuda_releasePool(index, pool)
                raise error.__context__ or error from None  # the first, not that of the end

    def replay(self) -> None:
        """Does what was captured; the results are where they were."""
        self._graph.replay()


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: cuBLAS keeps a workspace for each stream that it has ever seen."""
    return torch.cuda.Stream(device)


class _Off:
    """Of this process, once a capture failed, for another would too; or with several ranks."""

    reason = ""


def captured(step: Step, changed: Changed, options: LoopOptions) -> Step:
    """A step for many batches of one epoch: as a graph where --cuda_graph says so, or as it is.

    Args:
        step: changes nothing but `changed` and random states; reads nothing of the host.
        changed: networks and optimizers.
        options: the device, and whether to capture.
    """
    if options.cuda_graph and ranks.count() > 1 and not _Off.reason:
        _Off.reason = "ranks meet within a step"
        log.info("--cuda_graph: left out, %s", _Off.reason)
    if not options.cuda_graph or _Off.reason:
        return step
    for each in changed if options.device.type == "cuda" else ():
        if isinstance(each, torch.optim.Optimizer):
            _count_on_device(each)
    return _Captured(step, changed, options.device)


def _count_on_device(optimizer: torch.optim.Optimizer) -> None:
    """Lets Adam count its steps where its weights are; a run of several ranks hasn't yet."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    for weight, kept in optimizer.state.items():
        if "step" in kept:
            kept["step"] = kept["step"].to(weight.device)


class _Captured:
    """A step that is captured when it meets its first batch.

    Check, warm-up and capture start from the same state and are undone, so that every step that
    counts is a replay, whether a run was interrupted or not.

    Attributes:
        alive: all there are, to let go of once one fails: their memory is only theirs.
    """

    alive: ClassVar = weakref.WeakSet["_Captured"]()
    _graph: CudaGraph | None
    _batch: Batch | None
    _results: tuple[Tensor, ...]

    def __init__(self, step: Step, changed: Changed, device: torch.device) -> None:
        self._step, self._changed, self._device = step, changed, device
        self._forget()
        self.alive.add(self)

    def __call__(self, batch: Batch) -> tuple[Tensor, ...]:
        """The step's results, which stay as they are in later steps."""
        if self._batch is None and not _Off.reason:
            self._batch = Batch(batch.x.clone(), batch.labels.clone(), batch.share)
            self._capture()
        static = self._batch
        if self._graph is None or static is None or static.x.shape != batch.x.shape:
            return self._step(batch)
        static.x.copy_(batch.x)
        static.labels.copy_(batch.labels)
        self._graph.replay()
        return tuple(result.clone() for result in self._results)

    def _forget(self) -> None:
        self._graph, self._batch, self._results = None, None, ()

    def _capture(self) -> None:
        """Captures the step; where that fails or gives other numbers, one line says so."""
        batch, before = self._batch, self._state()
        assert batch is not None
        try:
            expected = [*self._step(batch), *(tensor.clone() for _, tensor in self._tensors())]
            self._put_back(before)
            graph = CudaGraph(self._device)
            self._results = graph.record(lambda: self._step(batch))
            self._put_back(before)
            graph.replay()
            found = [*self._results, *(tensor for _, tensor in self._tensors())]
            torch.testing.assert_close(found, expected, equal_nan=True)
            self._graph = graph
        except Exception as error:  # a driver may fail in any way
            _Off.reason = f"{error}".strip().partition("\n")[0] or type(error).__name__
            log.warning("--cuda_graph: left out, a step can't be captured (%s)", _Off.reason)
            for each in self.alive:  # a failed capture has taken the generator of all
                each._forget()
        self._put_back(before)

    def _tensors(self) -> Iterator[tuple[Any, Tensor]]:
        """All that a step may change: weights, buffers, and what optimizers keep; by some key."""
        for each in self._changed:
            if isinstance(each, nn.Module):
                for named in (each.named_parameters(), each.named_buffers()):
                    yield from (((each, name), tensor.detach()) for name, tensor in named)
            else:
                for weight, kept in each.state.items():
                    pairs = (((weight, name), value) for name, value in kept.items())
                    yield from (pair for pair in pairs if isinstance(pair[1], Tensor))

    def _state(self) -> State:
        return {key: tensor.clone() for key, tensor in self._tensors()}, random_states(self._device)

    def _put_back(self, state: State) -> None:
        """What wasn't there before becomes zero, as optimizers start: the same first step."""
        tensors, random = state
        for key, tensor in self._tensors():
            tensor.copy_(tensors[key]) if key in tensors else tensor.zero_()
        set_random_states(random, self._device)
