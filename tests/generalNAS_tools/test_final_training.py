import argparse
import math
from types import SimpleNamespace

import pytest
import torch

from generalNAS_tools import final_training, training_epoch
from generalNAS_tools.train_loop import Figures
from tests.generalNAS_tools.run_cases import MemorySplit, Network, loop_options, run_directory

BETTER = [0.9, 0.5, 0.7, 0.6, 0.4, 0.8]


@pytest.fixture
def losses(monkeypatch):
    """Validation losses that come one after the other, whatever is trained."""
    found = list(BETTER)
    monkeypatch.setattr(
        training_epoch, "evaluate", lambda *_, run, **__: Figures(found[len(run.history)], 0.0)
    )
    monkeypatch.setattr(final_training, "draw_curves", lambda *_: None)
    return found


def train(folder, *, epochs=6, patience=0, validation=True, every=1, saved=None):
    """Trains with the given validation losses; gives the epochs that saved a model."""
    saved = [] if saved is None else saved
    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    args = argparse.Namespace(
        epochs=epochs, patience=patience, validation=validation, report_validation=every
    )
    with run_directory(folder) as run:
        splits = SimpleNamespace(train=MemorySplit(4), valid=MemorySplit(4))
        final_training.train_final_network(
            network,
            network,
            optimizer,
            schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6),
            setup=SimpleNamespace(run=run, splits=splits, loop=loop_options(2, 2)),
            args=args,
            save_model=lambda: saved.append(len(run.history) + 1),
        )
        return saved, len(run.history), optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("options", "saved", "epochs"),
    [
        ({}, [1, 2, 5], 6),
        ({"patience": 1}, [1, 2], 3),
        ({"patience": 2}, [1, 2], 4),
        ({"patience": 3}, [1, 2, 5], 6),
        ({"validation": False, "patience": 1}, [1, 2, 3, 4, 5, 6], 6),
        ({"every": 2}, [1, 2], 6),
        ({"every": 3}, [1, 2, 3], 6),
        ({"every": 9}, [1, 2, 3, 4, 5, 6], 6),
        ({"every": 2, "patience": 1}, [1, 2], 4),
        ({"every": 3, "patience": 1}, [1, 2, 3], 6),
    ],
)
@pytest.mark.usefixtures("losses")
def test_the_best_model_is_kept(tmp_path, options, saved, epochs):
    found, trained, rate = train(tmp_path, **options)
    assert (found, trained) == (saved, epochs)
    assert rate == pytest.approx(0.05 * (1 + math.cos(math.pi * epochs / 6)))


def test_nothing_is_saved_of_a_loss_that_is_not_finite(tmp_path, losses):
    losses[0] = float("nan")
    saved = []
    with pytest.raises(ValueError, match="epoch 1: valid_loss is nan"):
        train(tmp_path, saved=saved)
    assert saved == []
    assert not (tmp_path / "checkpoint-a.pt").exists()
    losses[0] = 0.9
    assert train(tmp_path)[:2] == ([1, 2, 5], 6)


@pytest.mark.usefixtures("losses")
def test_a_finished_training_trains_no_more(tmp_path):
    assert train(tmp_path, patience=2)[1] == 4
    assert train(tmp_path, patience=2)[:2] == ([], 4)
