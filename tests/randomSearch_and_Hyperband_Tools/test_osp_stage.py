import math

import numpy as np
import pytest
import torch

from generalNAS_tools.runs.options import WeightOptions
from generalNAS_tools.search_space.edge_masks import Masks
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    initial_masks,
)
from randomSearch_and_Hyperband_Tools.osp_stage import round_rates, start_round
from randomSearch_and_Hyperband_Tools.removals import RemovalHistory
from tests.randomSearch_and_Hyperband_Tools.search_setup import OPTIONS, open_setup

DECAY = {"cnn_lr_decay": 2e-4, "rhn_lr_decay": 0.1}


@pytest.fixture
def setup(tmp_path):
    with open_setup(tmp_path) as setup:
        yield setup


@pytest.fixture
def trained(setup):
    masks = initial_masks(np.random.default_rng(3), 40)
    torch.manual_seed(0)
    stage = start_round(masks, None, setup, weights=OPTIONS.weights, epochs=2)
    setup.run.track(**stage.stateful())
    setup.run.end_epoch(stage.epoch(setup, 0))
    return stage


def candidates_of(masks, num_ops):
    rng = np.random.default_rng(5)
    return candidate_masks(masks, [draw_removals(mask, num_ops, rng) for mask in masks])


def test_a_candidate_is_the_smaller_supernet_with_the_same_weights(trained, setup):
    """What masking by weights gives, a supernet built without the operations gives as well."""
    losses = []
    for candidate in candidates_of(trained.supernet.masks, 4):
        masked = trained.loss_of(candidate, setup)
        smaller = start_round(candidate, trained, setup, weights=OPTIONS.weights, epochs=1)
        assert math.isclose(masked, smaller.loss_of(candidate, setup), rel_tol=1e-6)
        losses.append(masked)
    whole = trained.loss_of(trained.supernet.masks, setup)
    assert all(abs(loss - whole) > 1e-6 for loss in losses)


def test_validating_leaves_no_trace(trained, setup):
    before = {name: value.clone() for name, value in trained.supernet.state_dict().items()}
    noise = torch.get_rng_state()
    for candidate in candidates_of(trained.supernet.masks, 4):
        trained.loss_of(candidate, setup)
    after = trained.supernet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), noise)


def test_a_smaller_supernet_has_fewer_weights(trained, setup):
    def size(stage):
        return sum(parameter.numel() for parameter in stage.supernet.parameters())

    small = start_round(
        initial_masks(np.random.default_rng(3), 8), None, setup, weights=OPTIONS.weights, epochs=1
    )
    assert size(small) < size(trained)


def test_rates_fall_by_round_and_stay_above_0():
    weights = WeightOptions(cnn_lr=0.025, rhn_lr=8.0, beta=1)
    rates = [round_rates(weights, number, **DECAY) for number in (0, 1, 17, 100, 1000)]
    assert [round(rate.cnn_lr, 9) for rate in rates] == [0.025, 0.0248, 0.0216, 0.005, 0]
    assert [round(rate.rhn_lr, 9) for rate in rates] == [8, 7.9, 6.3, 0, 0]
    assert {rate.beta for rate in rates} == {1}


def test_the_cosine_covers_the_round(setup):
    masks = initial_masks(np.random.default_rng(3), 8)
    stage = start_round(
        masks, None, setup, weights=round_rates(OPTIONS.weights, 10, **DECAY), epochs=5
    )
    assert [group["lr"] for group in stage.optimizer.param_groups] == [0.023, 7.0]
    assert stage.schedule.T_max == 5


def test_removals_are_recorded(trained):
    masks = trained.supernet.masks
    candidates = candidates_of(masks, 3)
    after = Masks(*(a & b for a, b in zip(candidates[0], candidates[2], strict=True)))
    history = RemovalHistory()
    history.add(5, masks, candidates, losses=[0.1, 0.3, 0.2], after=after)
    assert [(r.valid_loss, r.removed) for r in history.removals] == [
        *[(0.1, True)] * 3,
        *[(0.3, False)] * 3,
        *[(0.2, True)] * 3,
    ]
    assert [r.cell for r in history.removals] == ["normal", "reduce", "rnn"] * 3
    assert {r.round for r in history.removals} == {5}
    other = RemovalHistory()
    other.load_state_dict(history.state_dict())
    assert other.removals == history.removals
