import signal

import numpy as np
import pytest
import torch

from generalNAS_tools.runs.signals import Stopped
from generalNAS_tools.training.epoch_metrics import EpochMetrics, Meter, figures_row
from generalNAS_tools.training.train_loop import evaluate, predict, train_epoch
from tests.generalNAS_tools.runs.run_cases import (
    CPU,
    DNASplit,
    MemorySplit,
    Network,
    loop_options,
    run_directory,
)


def train(run, split, options, *, network=None, before_step=None):
    network = network or Network()
    optimizer = torch.optim.SGD(network.parameters(), 0.001)
    run.track(network=network, optimizer=optimizer)
    return train_epoch(
        network,
        network,
        optimizer,
        split=split,
        run=run,
        options=options,
        before_step=before_step,
    )


@pytest.mark.parametrize(
    ("sequences", "batch_size", "num_steps", "steps"),
    [(10, 3, 2, 2), (10, 3, 3, 3), (10, 3, 99, 3), (9, 3, 99, 3), (2, 3, 99, 1)],
)
def test_an_epoch_is_num_steps_or_the_whole_set(tmp_path, sequences, batch_size, num_steps, steps):
    split, network = MemorySplit(sequences), Network()
    with run_directory(tmp_path) as run:
        train(run, split, loop_options(batch_size, num_steps), network=network)
    assert len(split.asked) == steps
    assert {len(part) for part in split.asked} == {min(batch_size, sequences)}
    seen = [i for part in split.asked for i in part]
    assert len(set(seen)) == len(seen)
    assert all(network.modes)


def test_every_epoch_and_seed_has_its_own_order(tmp_path):
    orders = []
    for seed in (0, 0, 1):
        split = MemorySplit(12)
        with run_directory(tmp_path / str(len(orders))) as run:
            for _ in range(2):
                train(run, split, loop_options(3, 99, seed=seed))
                run.end_epoch({"train_loss": 1.0})
        orders += [split.asked[:4], split.asked[4:]]
    assert orders[:2] == orders[2:4]
    assert len({str(order) for order in orders[:2] + orders[4:]}) == 4


def test_before_step_comes_before_each_step(tmp_path):
    network, calls = Network(), []

    def before_step(epoch, step, batch):
        calls.append((epoch, step, batch.x.view(-1).tolist(), len(network.modes)))

    split = MemorySplit(12)
    with run_directory(tmp_path) as run:
        run.history.append({"epoch": 1, "train_loss": 1.0, "seconds": 0.0})
        train(run, split, loop_options(4, 2), network=network, before_step=before_step)
    assert [call[:2] for call in calls] == [(1, 0), (1, 1)]
    assert [call[2] for call in calls] == split.asked
    assert [call[3] for call in calls] == [0, 1]


def test_each_sequence_is_read_on_a_random_strand(tmp_path):
    """Every epoch draws anew; a resumed one reads what it would have read."""
    split, seen = DNASplit(40), []

    def note(epoch, step, batch):
        for number, x in zip(split.asked[-1], batch.x, strict=True):
            kept = torch.equal(x, split.x[number])
            assert kept or torch.equal(x, split.x[number].flip(0, 1))
            strands[number] = kept
        assert torch.equal(batch.labels, split.labels[split.asked[-1]].float())

    class FirstBase(Network):
        def forward(self, x):
            return super().forward(x[:, :1, 0])

    for folder in "ab":
        with run_directory(tmp_path / folder) as run:
            for _ in range(2):
                strands = {}
                options = loop_options(8, 99, rc_augment=True)
                train(run, split, options, network=FirstBase(), before_step=note)
                run.end_epoch({"train_loss": 1.0})
                seen.append(strands)
    assert seen[0] == seen[2]
    assert seen[1] == seen[3]
    assert seen[0] != seen[1]
    assert all(8 < sum(strands.values()) < 32 for strands in seen)


@pytest.mark.parametrize(
    ("sequences", "batch_size", "sizes"),
    [
        (128, 64, [64, 64]),
        (130, 64, [65, 65]),
        (129, 64, [64, 65]),
        (30, 64, [30]),
        (96, 64, [48, 48]),
        (95, 64, [95]),
        (1817, 64, [64] * 3 + [65] * 25),
    ],
)
def test_batches_whose_statistics_count_are_even_and_random(sequences, batch_size, sizes):
    split, network = MemorySplit(sequences), Network()
    options = loop_options(batch_size, 99, batch_statistics=True)
    for _ in range(2):
        evaluate(network, network, split=split, run=None, options=options)
    first, again = split.asked[: len(sizes)], split.asked[len(sizes) :]
    assert first == again
    assert [len(part) for part in first] == sizes
    order = [number for part in first for number in part]
    assert sorted(order) == list(range(sequences))
    assert order != sorted(order)


def test_figures_are_means_over_sequences(tmp_path):
    """A weight of 0 gives log 2 for every label; predictions are negative, so F1 is 0."""
    split, network = MemorySplit(7), Network(0.0)
    with run_directory(tmp_path) as run:
        figures = evaluate(network, network, split=split, run=run, options=loop_options(3, 99))
    assert figures[:2] == (pytest.approx(np.log(2)), 0.0)
    assert [len(part) for part in split.asked] == [3, 3, 1]
    assert network.modes == [False] * 3
    meter = Meter(1, CPU)
    meter.update(torch.tensor(1.0), torch.ones(3, 1), torch.ones(3, 1))
    meter.update(torch.tensor(5.0), torch.ones(1, 1), torch.zeros(1, 1))
    assert meter.figures() == EpochMetrics(2.0, pytest.approx(6 / 7))
    other = Meter(1, CPU)
    other.load_state_dict(meter.state_dict())
    assert other.figures() == meter.figures()


def test_evaluation_takes_always_the_same_part(tmp_path):
    asked = []
    for _ in range(2):
        split = MemorySplit(50)
        network = Network()
        evaluate(network, network, split=split, run=None, options=loop_options(4, 3))
        asked.append(split.asked)
    assert asked[0] == asked[1]
    chosen = [i for part in asked[0] for i in part]
    assert len(set(chosen)) == 12
    assert chosen != list(range(12))


def test_predictions_are_in_order_and_whole():
    split, network = MemorySplit(10), Network(0.3)
    predictions, loss = predict(network, network, split=split, options=loop_options(4, 1))
    logits = 0.3 * np.arange(10)[:, None]
    np.testing.assert_allclose(predictions, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    labels = np.arange(10)[:, None] % 2
    expected = np.mean(np.log1p(np.exp(logits)) - labels * logits)
    assert loss == pytest.approx(expected, rel=1e-6)
    assert predictions.dtype == np.float32
    assert network.modes == [False] * 3


def test_a_stopped_epoch_goes_on_from_its_step(tmp_path):
    options = loop_options(2, 99)
    whole, parts = Network(), Network()
    with run_directory(tmp_path / "whole") as run:
        expected = train(run, MemorySplit(10), options, network=whole)

    def stop_at_2(epoch, step, batch):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    first, second = MemorySplit(10), MemorySplit(10)
    with run_directory(tmp_path / "parts") as run, pytest.raises(Stopped, match="SIGTERM"):
        train(run, first, options, network=parts, before_step=stop_at_2)
    parts = Network(99.0)
    with run_directory(tmp_path / "parts") as run:
        figures = train(run, second, options, network=parts)
        assert run.partial["step"] == 5
    assert len(first.asked) == 3
    assert len(second.asked) == 2
    assert figures == expected
    assert torch.equal(whole.weight, parts.weight)


def test_progress_lines_stop_at_a_loss_that_is_not_finite(tmp_path):
    with (
        run_directory(tmp_path) as run,
        pytest.raises(ValueError, match="epoch 1: train_loss is nan at step 2"),
    ):
        train(run, MemorySplit(10), loop_options(2, 9, report_freq=2), network=Network(np.nan))


def test_rows():
    row = figures_row(EpochMetrics(1.0, 0.5), None)
    assert row == {
        **{"train_loss": 1.0, "acc_train": 0.5, "valid_loss": None, "acc_valid": None},
        **{"valid_auroc": None, "valid_auprc": None},
    }
    row = figures_row(EpochMetrics(1.0, 0.5), EpochMetrics(2.0, 0.25, 0.7, 0.3))
    assert list(row.values())[2:] == [2.0, 0.25, 0.7, 0.3]
