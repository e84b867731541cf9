"""Captured steps by a stand-in for CUDA's graphs; tests/scripts/test_on_a_card.py has real ones."""

import contextlib
import weakref
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch import nn

from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.training import captured_step
from generalNAS_tools.training.captured_step import CudaGraph, captured
from tests.graph_stand_in import StandIn, capture_here

OPTIONS = LoopOptions(4, 1, 0, torch.device("cpu"), cuda_graph=True)
OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, fused=True),
    "adamw": lambda weights: torch.optim.AdamW(weights, 0.1, fused=True),
    "adam": lambda weights: torch.optim.Adam(weights, 0.1),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, 0.1, momentum=0.5),
}


class Training:
    """A small network with dropout and BatchNorm, and how it is trained."""

    def __init__(self, optimizer="sgd"):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.ReLU())
        self.optimizer = OPTIMIZERS[optimizer](self.network.parameters())
        self.calls = 0

    def step(self, batch):
        self.calls += 1
        output = self.network(batch.x)
        loss = (output - batch.labels).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), output.detach()

    def captured(self, options=OPTIONS):
        return captured(self.step, [self.network, self.optimizer], options)

    def state(self):
        kept = [v for state in self.optimizer.state.values() for v in state.values()]
        tensors = [*self.network.state_dict().values(), *kept, torch.get_rng_state()]
        return [tensor.clone() for tensor in tensors if isinstance(tensor, torch.Tensor)]


def batches(sizes=(4, 4, 4, 3, 4)):
    draw = torch.Generator().manual_seed(1)
    sizes = [(size, torch.rand(size, 6, generator=draw)) for size in sizes]
    return [Batch(x, torch.rand(size, 5, generator=draw)) for size, x in sizes]


def same(found, expected):
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_replays_are_the_steps_themselves(optimizer, monkeypatch):
    """Warm-up, capture and check leave nothing; a batch of another size is not captured."""
    graph = capture_here(monkeypatch)
    alone, replayed = Training(optimizer), Training(optimizer)
    expected = [alone.step(batch) for batch in batches()]
    last = alone.state()
    torch.manual_seed(0)
    replayed = Training(optimizer)
    step = replayed.captured()
    found = [step(batch) for batch in batches()]
    assert all(map(same, found, expected))
    assert same(replayed.state(), last)
    assert (graph.made, graph.replays) == (1, 1 + 4)


def test_every_epoch_is_captured_anew(monkeypatch):
    """Rates are numbers of the graph: a lower one is seen."""
    graph = capture_here(monkeypatch)
    alone, replayed = Training(), Training()
    for training in (alone, replayed):
        torch.manual_seed(0)
        for rate in (0.1, 0.01):
            training.optimizer.param_groups[0]["lr"] = rate
            step = training.step if training is alone else training.captured()
            for batch in batches((4, 4)):
                step(batch)
    assert same(replayed.state(), alone.state())
    assert graph.made == 2


class Failing(StandIn):
    def record(self, work):
        super().record(work)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


class Wrong(StandIn):
    def replay(self):
        super().replay()
        self._results[0].add_(1)


class Forgetful(StandIn):
    """Gives the right results, but changes nothing."""

    def record(self, work):
        self._memory = super().record(work)
        return self._memory

    def replay(self):
        pass


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (Failing, "operation not permitted when stream is capturing)"),
        (Wrong, "not close!"),
        (Forgetful, "not close!"),
    ],
)
def test_what_can_not_be_captured_is_done_as_it_is(graph, reason, monkeypatch, caplog):
    capture_here(monkeypatch, graph)
    alone = Training()
    expected = [alone.step(batch) for batch in batches()]
    last = alone.state()
    replayed = Training()
    found = [step(batch) for step in [replayed.captured()] for batch in batches()]
    assert all(map(same, found, expected))
    assert same(replayed.state(), last)
    (line,) = caplog.messages
    assert line.startswith("--cuda_graph: left out, a step can't be captured (")
    assert reason in line
    assert "\n" not in line
    assert replayed.captured() == replayed.step  # nor is it tried again


def test_a_failed_capture_ends_the_use_of_earlier_graphs(monkeypatch):
    """On a card it takes the generator whose numbers they draw; their memory is free again."""
    graph = capture_here(monkeypatch)
    earlier = Training().captured()
    earlier(batches()[0])
    used, left = graph.replays, weakref.ref(earlier._graph)
    monkeypatch.setattr(captured_step, "CudaGraph", Failing)
    Training().captured()(batches()[0])
    assert left() is None
    earlier(batches()[0])
    assert graph.replays == used > 0


def test_the_check_is_over_before_the_capture_takes_memory(monkeypatch):
    graph, order = capture_here(monkeypatch), []
    monkeypatch.setattr(graph, "record", lambda self, work: order.append("capture") or work())
    monkeypatch.setattr(graph, "replay", lambda self: order.append("replay"))
    training = Training()
    step = training.step
    training.step = lambda batch: order.append("step") or step(batch)
    training.captured()(batches()[0])
    assert order[:4] == ["step", "capture", "step", "replay"]


def test_several_ranks_or_off_capture_nothing(monkeypatch, caplog):
    caplog.set_level("INFO")
    capture_here(monkeypatch)
    training = Training()
    assert training.captured(replace(OPTIONS, cuda_graph=False)) == training.step
    assert not caplog.messages
    monkeypatch.setattr(captured_step.ranks, "count", lambda: 2)
    assert training.captured() == training.captured() == training.step
    assert caplog.messages == ["--cuda_graph: left out, ranks meet within a step"]


def test_adam_counts_its_steps_on_the_device(monkeypatch):
    """Also where several ranks, which capture nothing, have counted them on the host."""
    capture_here(monkeypatch)
    training = Training("adam")
    training.step(batches()[0])
    state = training.optimizer.state
    (weight, kept), *_ = state.items()
    state[weight.to("meta")] = state.pop(weight)
    training.captured(replace(OPTIONS, device=torch.device("cuda")))
    assert training.optimizer.param_groups[0]["capturable"]
    assert kept["step"].device.type == "meta"


def test_a_failed_capture_leaves_stream_and_generator_as_they_were(monkeypatch):
    """The message is that of what failed, not of the capture's end."""

    class Capture(contextlib.nullcontext):
        def __exit__(self, *_):
            raise RuntimeError("operation failed due to a previous error during capture")

    cuda, calls = mock.MagicMock(graph=lambda *_: Capture()), []

    def work():
        calls.append(1)
        if len(calls) > captured_step._WARM_UP:
            raise RuntimeError("a number is read")

    allocator = [mock.Mock(), mock.Mock()]
    for name, call in zip(("endAllocateToPool", "releasePool"), allocator, strict=True):
        monkeypatch.setattr(torch._C, f"_cuda_{name}", call, raising=False)
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(captured_step, "_side_stream", cuda.Stream)
    with pytest.raises(RuntimeError, match="a number is read"):
        CudaGraph(torch.device("cuda")).record(work)
    cuda.set_stream.assert_called_once_with(cuda.current_stream())
    generator = cuda.default_generators[cuda.current_device()]
    generator.graphsafe_set_state.assert_called_once_with(generator.clone_state())
    for call in allocator:
        call.assert_called_once_with(cuda.current_device(), cuda.graph_pool_handle())
