from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from BO_tools.search_options import (
    Options,
    RoundOptions,
    ScoringDataOptions,
    SurrogateOptions,
)
from BO_tools.shared_training import SharedTraining, merge_masks
from data_generators.random_graphs import random_architecture
from generalNAS_tools.data.deepsea_data import load_splits
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import inherit_weights
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import (
    FrameOptions,
    LengthOptions,
    RunOptions,
    ScoreOptions,
    SupernetOptions,
    WeightOptions,
)
from generalNAS_tools.search_space.edge_masks import masks_from_genotype
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.train_loop import evaluate
from tests.toy_bundle import write_toy_bundle

CPU = torch.device("cpu")
WEIGHTS = WeightOptions(
    cnn_lr=0.1,
    rhn_lr=1.0,
    momentum=0.0,
    cnn_weight_decay=0.0,
    rhn_weight_decay=0.0,
    learning_rate_min=0.0,
)
OPTIONS = Options(
    data=ScoringDataOptions(),
    network=FrameOptions(),
    length=LengthOptions(epochs=4),
    weights=WEIGHTS,
    run=RunOptions(),
    rounds=RoundOptions(super_batch_size=6, sub_batch_size=4, recalibration_steps=2),
    surrogate=SurrogateOptions(),
    score=ScoreOptions(),
    supernet=SupernetOptions(),
)


class Run:
    """As much of a run's directory as an epoch uses."""

    def __init__(self):
        self.history, self.partial = [], None
        self.clock = SimpleNamespace()

    def begin_epoch(self):
        return len(self.history)

    def report_step(self, *args):
        pass

    def stop_if_asked(self, partial=None):
        pass


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    bundle = write_toy_bundle(tmp_path_factory.mktemp("toy"), seq_size=24, num_targets=3)
    return load_splits(bundle.train, bundle.valid)


@pytest.fixture
def setup(splits):
    loop = LoopOptions(batch_size=8, num_steps=3, seed=0, device=CPU, beta=1.0)
    return Setup(splits, Run(), loop, NetworkOptions(24, 3, 2, 2), CPU)


@pytest.fixture
def architectures():
    rng = np.random.default_rng(0)
    return [random_architecture(rng) for _ in range(3)]


def make(architectures, setup, **weights):
    torch.manual_seed(0)
    options = replace(OPTIONS, weights=replace(WEIGHTS, **weights))
    return SharedTraining(architectures, setup, options)


def weights(supernet):
    return {name: value.clone() for name, value in supernet.state_dict().items()}


def test_the_supernet_holds_the_operations_of_all_and_no_others(architectures, setup):
    masks = [masks_from_genotype(genotype) for genotype in architectures]
    merged = make(architectures, setup).supernet.masks
    for found, *parts in zip(merged, *masks, strict=True):
        assert np.array_equal(found, sum(part.astype(int) for part in parts) > 0)
    alone = merge_masks(masks[:1])
    assert all(np.array_equal(a, b) for a, b in zip(alone, masks[0], strict=True))


def test_inactive_operations_contribute_nothing_and_are_not_computed(architectures, setup):
    together = make(architectures, setup)
    supernet, masks = together.supernet.eval(), masks_from_genotype(architectures[1])
    mixing = mask_mixing(masks, CPU)
    x = torch.rand(4, 4, 24)
    expected = supernet(x, mixing).logits
    found = supernet(x, mixing, masks).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        for cell in supernet.cells:
            mask = masks.reduce if cell.stride > 1 else masks.normal
            for edge, k in np.argwhere(cell.mask & ~mask):
                for tensor in cell.operation_tensors(edge, k)[:1]:
                    if len(cell.operation_tensors(edge, k)) > 2:  # no pool
                        tensor.fill_(np.nan)
    assert torch.equal(supernet(x, mixing, masks).logits, found)


def test_a_subnet_s_epoch_moves_its_operations_only(architectures, setup, monkeypatch):
    together = make(architectures[:2], setup)
    first = masks_from_genotype(architectures[0])
    draws = SimpleNamespace(integers=lambda count: 0)
    monkeypatch.setattr("BO_tools.shared_training.np.random.default_rng", lambda seed: draws)
    order = torch.randperm(setup.splits.train.num_sequences)
    monkeypatch.setattr("generalNAS_tools.training.train_loop.epoch_indices", lambda *a, **k: order)
    supernet = together.supernet
    operations = [
        (cell, edge, k, [tensor.clone() for tensor in cell.operation_tensors(edge, k)])
        for cell in supernet.cells
        for edge, k in np.argwhere(cell.mask)
    ]
    row = together.train_subnets()
    assert row["valid_loss"] is None
    moved, kept = 0, 0
    for cell, edge, k, before in operations:
        if len(before) <= 2:  # nothing, or a pool's statistics
            continue
        now = cell.operation_tensors(edge, k)
        equal = all(torch.equal(a, b) for a, b in zip(now, before, strict=True))
        mask = first.reduce if cell.stride > 1 else first.normal
        assert equal != mask[edge, k]
        moved, kept = moved + (not equal), kept + equal
    assert moved
    assert kept


def test_batch_sizes_and_penalty_of_both_phases(architectures, setup, monkeypatch):
    seen = []

    def epoch(*args, setup, validate, **options):
        seen.append((setup.loop.batch_size, setup.loop.beta, validate))
        return {}

    monkeypatch.setattr("BO_tools.shared_training.training_epoch", epoch)
    together = make(architectures, setup._replace(loop=replace(setup.loop, validate_every=2)))
    for number in range(2):
        together.train_whole(number)
    together.train_subnets()
    assert seen == [(6, 1.0, False), (6, 1.0, True), (4, 0.0, False)]


def test_subnets_are_drawn_uniformly_and_by_seed_epoch_and_step_alone(architectures, setup):
    together = make(architectures, setup)

    def draws(training):
        found = []
        for epoch in range(20):
            for step in range(30):
                training._draw(epoch, step, None)
                found.append([s is training._drawn for s in training._subnets].index(True))
        return found

    drawn = draws(together)
    assert draws(make(architectures, setup)) == drawn
    assert draws(make(architectures, setup._replace(loop=replace(setup.loop, seed=1)))) != drawn
    assert np.bincount(drawn) == pytest.approx(200, abs=40)


def test_training_can_start_with_subnets(architectures, setup):
    """Weights whose first gradient comes late; torch's fused SGD refuses them as they are."""
    together = make(architectures, setup, momentum=0.9)
    losses = []
    for _ in range(4):
        losses.append(together.train_subnets()["train_loss"])
        setup.run.history.append({})
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_scoring_changes_nothing_and_repeats(architectures, setup):
    together = make(architectures, setup)
    together.train_whole(0)
    before, random = weights(together.supernet), torch.get_rng_state()
    scores = [together.score(genotype, 3) for genotype in architectures]
    again = [together.score(genotype, 3) for genotype in reversed(architectures)]
    assert [entry.score for entry in scores] == [entry.score for entry in reversed(again)]
    assert [entry.genotype for entry in scores] == architectures
    assert {entry.iteration for entry in scores} == {3}
    assert torch.equal(torch.get_rng_state(), random)
    after = together.supernet.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_score_is_that_of_the_subnet_on_its_own(architectures, setup, monkeypatch):
    measured = []

    def record(*args, **options):
        measured.append(evaluate(*args, **options))
        return measured[-1]

    monkeypatch.setattr("BO_tools.shared_training.evaluate", record)
    together = make(architectures, setup)
    together.train_whole(0)
    for genotype in architectures:
        alone = make([genotype], setup)
        inherit_weights(alone.supernet, together.supernet)
        scores = [training.score(genotype, 0).score for training in (together, alone)]
        assert scores == [figures.auprc or 0.0 for figures in measured[-2:]]
        assert measured[-2].loss == pytest.approx(measured[-1].loss, rel=1e-5)
    assert len({round(figures.loss, 4) for figures in measured}) == 3
