"""A stage of a search: fresh optimizers, and epochs that train what they say."""

import copy
from types import SimpleNamespace

import pytest
import torch

from darts_tools.alphas import Alphas
from darts_tools.search_stage import AlphaOptions, AlphaRule, search_epoch, start_stage
from generalNAS_tools.data.deepsea_data import load_splits
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import WeightOptions
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.training.train_loop import evaluate
from tests.toy_bundle import write_toy_bundle

OPTIONS = SimpleNamespace(
    weights=WeightOptions(cnn_lr=0.02, rhn_lr=0.5, learning_rate_min=0.01),
    alphas=AlphaOptions(arch_lr=0.1),
)


class FakeRun:
    """As much of a run's directory as an epoch looks at."""

    def __init__(self):
        self.history, self.partial, self.steps = [], None, 0

    def stop_if_asked(self, partial=None):
        self.steps += partial is not None

    def begin_epoch(self):
        return len(self.history)

    def report_step(self, *args):
        pass


@pytest.fixture
def setup(tmp_path):
    bundle = write_toy_bundle(tmp_path, seq_size=16, num_targets=3)
    splits = load_splits(bundle.train, bundle.valid, seq_size=16)
    device = torch.device("cpu")
    options = NetworkOptions(16, 3, init_channels=2, layers=1)
    return Setup(splits, FakeRun(), LoopOptions(8, 2, 0, device, validate_every=2), options, device)


@pytest.fixture
def stage(setup):
    torch.manual_seed(0)
    masks = full_masks()
    return start_stage(
        Supernet(masks, setup.network),
        Alphas(masks),
        setup,
        options=OPTIONS,
        epochs=3,
        rule=AlphaRule(betas=(0.5, 0.999), clip=0.1),
    )


def copies(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(module, before):
    return [not torch.equal(a, b) for a, b in zip(module.parameters(), before, strict=True)]


def test_frozen_epochs_leave_the_alphas_alone(setup, stage):
    alphas, weights = copies(stage.alphas), copies(stage.supernet)
    search_epoch(stage, setup, epoch=0, frozen=True)
    assert not any(changed(stage.alphas, alphas))
    assert all(changed(stage.supernet, weights))
    assert setup.run.steps == 2
    search_epoch(stage, setup, epoch=1, frozen=False)
    # A single normal cell: there are no reduction cells whose alphas could learn anything.
    moved = dict(zip(("normal", "reduce", "rnn"), changed(stage.alphas, alphas), strict=True))
    assert moved["normal"]
    assert moved["rnn"]


def test_the_row_and_when_it_is_validated(setup, stage):
    first = search_epoch(stage, setup, epoch=0, frozen=True)
    second = search_epoch(stage, setup, epoch=1, frozen=True)
    assert list(first) == [
        *("train_loss", "acc_train", "valid_loss", "acc_valid", "valid_auroc", "valid_auprc")
    ]
    assert first["valid_loss"] is None
    # No weight moves after it was measured.
    valid, run = setup.splits.valid, setup.run
    again = evaluate(stage.supernet, stage.forward, split=valid, run=run, options=setup.loop)
    assert second["valid_loss"] == again.loss


def test_the_schedule_falls_once_an_epoch_to_the_minimum(setup, stage):
    rates = [[group["lr"] for group in stage.optimizer.param_groups]]
    for epoch in range(3):
        search_epoch(stage, setup, epoch=epoch, frozen=True)
        rates.append([group["lr"] for group in stage.optimizer.param_groups])
    assert rates[0] == [0.02, 0.5]
    assert rates[1] == pytest.approx([0.01 + 0.01 * 0.75, 0.01 + 0.49 * 0.75])
    assert rates[3] == pytest.approx([0.01, 0.01])


def test_alphas_are_only_in_their_own_optimizer(stage):
    alphas = {id(parameter) for parameter in stage.alphas.parameters()}
    held = {id(p) for group in stage.optimizer.param_groups for p in group["params"]}
    assert not alphas & held
    assert held == {id(parameter) for parameter in stage.supernet.parameters()}
    adam = stage.architect.optimizer.param_groups[0]
    assert {id(p) for p in adam["params"]} == alphas
    assert (adam["lr"], adam["betas"], adam["weight_decay"]) == (0.1, (0.5, 0.999), 1e-3)
    assert stage.architect.clip == 0.1


def test_the_weight_step_sees_the_alphas_as_constants(stage):
    x = torch.zeros(2, 4, 16)
    stage.forward(x).logits.sum().backward()
    assert all(parameter.grad is None for parameter in stage.alphas.parameters())


def test_its_state_holds_all_that_training_changes(setup, stage):
    names = set(stage.stateful())
    assert names == {"supernet", "alphas", "optimizer", "schedule", "alpha optimizer"}
    search_epoch(stage, setup, epoch=0, frozen=False)
    other = start_stage(
        Supernet(full_masks(), setup.network),
        Alphas(full_masks()),
        setup,
        options=OPTIONS,
        epochs=3,
        rule=AlphaRule(betas=(0.5, 0.999), clip=0.1),
    )
    for name, part in other.stateful().items():
        part.load_state_dict(copy.deepcopy(stage.stateful()[name].state_dict()))
    rows = []
    for each in (stage, other):
        torch.manual_seed(5)
        rows.append(search_epoch(each, setup, epoch=1, frozen=False))
    assert rows[0] == rows[1]
    assert not any(changed(other.alphas, copies(stage.alphas)))
