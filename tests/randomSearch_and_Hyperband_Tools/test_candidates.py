from types import SimpleNamespace

import numpy as np
import pytest
import torch

from generalNAS_tools.runs.options import RunOptions, WeightOptions
from generalNAS_tools.training.train_loop import train_epoch
from randomSearch_and_Hyperband_Tools.candidates import (
    CandidateStore,
    start_candidate,
    train_candidate,
)
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from tests.randomSearch_and_Hyperband_Tools.search_setup import OPTIONS, open_setup

GENOTYPES = distinct_genotypes(np.random.default_rng(0), 3)


@pytest.fixture
def setup(tmp_path):
    with open_setup(tmp_path) as setup:
        yield setup


def begin(setup, number=0, options=OPTIONS):
    return start_candidate(number, GENOTYPES[number], setup, options)


def train(candidate, setup):
    train_epoch(
        candidate.network,
        candidate.network,
        candidate.optimizer,
        split=setup.splits.train,
        run=setup.run,
        options=setup.loop,
    )
    candidate.schedule.step()
    setup.run.partial = None


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def state(candidate):
    return {name: target.state_dict() for name, target in candidate.stateful().items()}


def test_waiting_changes_nothing(setup):
    """Drop path and dropout draw random numbers, so that also their state must come back."""
    straight = begin(setup)
    train(straight, setup)
    store = CandidateStore(setup.run)
    store.keep(straight)
    train(straight, setup)
    after = torch.rand(3)

    train(begin(setup, number=1), setup)  # somebody else's turn
    waited = begin(setup)
    store.bring_back(waited)
    train(waited, setup)
    assert equal(state(waited), state(straight))
    assert torch.equal(torch.rand(3), after)


def test_weights_depend_on_seed_and_number_alone(setup):
    first = begin(setup)
    torch.rand(7)
    assert equal(first.network.state_dict(), begin(setup).network.state_dict())
    head = "network.head.1.weight"
    others = [begin(setup, number=1)]
    seeded = SimpleNamespace(**vars(OPTIONS) | {"run": RunOptions(seed=1)})
    others.append(begin(setup, options=seeded))
    for other in others:
        assert not torch.equal(first.network.state_dict()[head], other.network.state_dict()[head])


def test_turns_add_up(setup):
    candidate = begin(setup)
    setup.run.track(**candidate.stateful())
    first = train_candidate(candidate, setup, epochs=1)
    setup.run.track(**candidate.stateful())
    second = train_candidate(candidate, setup, epochs=3)
    assert (first.epochs, second.epochs, len(setup.run.history)) == (1, 3, 3)
    assert second.f1 == setup.run.history[-1]["acc_valid"]
    assert second.parameters == sum(p.numel() for p in candidate.network.parameters())
    seconds = [row["seconds"] for row in setup.run.history]
    assert (first.seconds, second.seconds) == pytest.approx((seconds[0], sum(seconds)), abs=2e-3)


def test_candidates_come_back_with_the_rates_of_the_flags(setup):
    store = CandidateStore(setup.run)
    store.keep(begin(setup))
    lower = SimpleNamespace(**vars(OPTIONS) | {"weights": WeightOptions(cnn_lr=0.01)})
    candidate = begin(setup, options=lower)
    store.bring_back(candidate)
    assert candidate.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert candidate.schedule.base_lrs[0] == 0.01


def test_a_foreign_file_is_refused(setup):
    store = CandidateStore(setup.run)
    store.keep(begin(setup))
    path = setup.run.files.path("waiting_1", "pt")
    path.rename(setup.run.files.path("waiting_2", "pt"))
    with pytest.raises(ValueError, match=r"waiting_2-a\.pt: doesn't fit its candidate"):
        store.bring_back(begin(setup, number=1))
    with pytest.raises(ValueError, match=r"waiting_1-a\.pt: no such file"):
        store.bring_back(begin(setup))
    path.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"waiting_1-a\.pt: .*damaged"):
        store.bring_back(begin(setup))


def test_dismissed_files_are_gone(setup):
    store = CandidateStore(setup.run)
    for number in range(3):
        store.keep(begin(setup, number=number))
    store.dismiss([0, 2])
    store.dismiss([0])
    left = [path.name for path in setup.run.files.folder.glob("waiting*")]
    assert left == ["waiting_2-a.pt"]
    CandidateStore(setup.run)  # of a run that starts anew
    assert not list(setup.run.files.folder.glob("waiting*"))
