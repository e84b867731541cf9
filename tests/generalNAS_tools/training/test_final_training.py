import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.runs.options import ModelOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.training import final_training, training_epoch
from generalNAS_tools.training.epoch_metrics import EpochMetrics
from tests.generalNAS_tools.runs.run_cases import MemorySplit, Network, loop_options, run_directory

BETTER = [0.9, 0.5, 0.7, 0.6, 0.4, 0.8]


@pytest.fixture
def losses(monkeypatch):
    """Validation losses that come one after the other, whatever is trained."""
    found = list(BETTER)
    monkeypatch.setattr(
        training_epoch, "evaluate", lambda *_, run, **__: EpochMetrics(found[len(run.history)], 0.0)
    )
    monkeypatch.setattr(final_training, "draw_curves", lambda *_, **__: None)
    return found


@pytest.fixture(autouse=True)
def saved(monkeypatch):
    """The epochs that saved a model."""
    epochs = []

    def save(path, state):
        epochs.append(state["trained"]["epoch"])
        save_weights(path, state)

    monkeypatch.setattr(final_training, "save_weights", save)
    return epochs


def train(folder, *, epochs=6, patience=0, validation=True, every=1, model_path=None):
    """Trains with the given validation losses; gives the number of epochs, and the rate."""
    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    loop = replace(loop_options(2, 2), validate_every=every if validation else None)
    with run_directory(folder) as run:
        splits = SimpleNamespace(train=MemorySplit(4), valid=MemorySplit(4))
        final_training.train_final_network(
            network,
            network,
            optimizer,
            schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6),
            setup=SimpleNamespace(run=run, splits=splits, loop=loop),
            epochs=epochs,
            options=ModelOptions(model_path=model_path, patience=patience),
            description={"kind": "toy"},
        )
        model = load_weights(model_path or run.files.path("model", "pth"))
        assert (model.keys(), model["kind"]) == ({"kind", "trained", "weights"}, "toy")
        assert torch.equal(network.weight, model["weights"]["weight"])
        return len(run.history), optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("options", "expected", "epochs"),
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
def test_the_best_model_is_kept(tmp_path, options, expected, epochs, saved):
    trained, rate = train(tmp_path, **options)
    assert (saved, trained) == (expected, epochs)
    assert rate == pytest.approx(0.05 * (1 + math.cos(math.pi * epochs / 6)))


def test_nothing_is_saved_of_a_loss_that_is_not_finite(tmp_path, losses, saved):
    losses[0] = float("nan")
    with pytest.raises(ValueError, match="epoch 1: valid_loss is nan"):
        train(tmp_path)
    assert saved == []
    assert not (tmp_path / "checkpoint-a.pt").exists()
    losses[0] = 0.9
    assert train(tmp_path)[0] == 6
    assert saved == [1, 2, 5]


@pytest.mark.usefixtures("losses")
def test_a_finished_training_trains_no_more(tmp_path, saved):
    assert train(tmp_path, patience=2)[0] == 4
    assert train(tmp_path, patience=2)[0] == 4
    assert saved == [1, 2]


def test_a_run_goes_on_only_with_its_own_model(tmp_path, losses, saved):
    """At the door, not after the training: the best weights are in the model file alone."""
    path, other = tmp_path / "m.pth", tmp_path / "other.pth"
    assert train(tmp_path / "a", model_path=path)[0] == 6
    losses[4] = 0.3
    assert train(tmp_path / "b", model_path=other)[0] == 6
    own = path.read_bytes()
    path.write_bytes(other.read_bytes())
    with pytest.raises(
        ValueError, match=r"m\.pth: not the model that this run saved after epoch 5"
    ):
        train(tmp_path / "a", model_path=path)
    path.unlink()
    with pytest.raises(ValueError, match=r"m\.pth: not the model .* put it back, or .*--restart"):
        train(tmp_path / "a", model_path=path)
    path.write_bytes(own)
    assert train(tmp_path / "a", model_path=path)[0] == 6


@pytest.mark.usefixtures("losses")
def test_killed_after_the_model_and_before_the_checkpoint(tmp_path, monkeypatch, saved):
    def kill(run, row):
        if len(run.history) == 4:
            raise KeyboardInterrupt
        end_epoch(run, row)

    end_epoch = RunDirectory.end_epoch
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "end_epoch", kill)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert train(tmp_path)[0] == 6
    assert saved == [1, 2, 5, 5]


def test_only_a_model_is_ever_replaced(tmp_path):
    data, plain, checkpoint = (tmp_path / name for name in ("x.mat", "x.pt", "checkpoint-a.pt"))
    data.write_bytes(b"data")
    save_weights(plain, {"objects": {}})
    for path, message in (
        (data, "not a file of this project"),
        (plain, "holds something else than a model"),
        (checkpoint, "the run writes this file itself"),
    ):
        with pytest.raises(ValueError, match=f"{path}: .*{message}"):
            train(tmp_path, model_path=path)
    for name in ("history-a.csv", "curves-a.png", "time-a.npy", "config-a.json", "log-a.txt"):
        with pytest.raises(ValueError, match=f"--model_path .*{name}: the run writes"):
            train(tmp_path, model_path=tmp_path / "." / name)
    assert data.read_bytes() == b"data"


@pytest.mark.usefixtures("losses")
def test_two_runs_never_share_a_model(tmp_path):
    path, link = tmp_path / "m.pth", tmp_path / "link.pth"
    link.symlink_to(path)
    with run_directory(tmp_path / "b") as other:
        other.files.hold_model(path)
        for name in (path, link, tmp_path / "b" / ".." / "m.pth"):
            with pytest.raises(ValueError, match=r"\.m\.pth\.model\.lock: .* another --model_path"):
                train(tmp_path / "a", model_path=name)
        assert not (tmp_path / "a" / "checkpoint-a.pt").exists()
        (tmp_path / "c").mkdir()
        usual = tmp_path / "c" / "model-a.pth"
        other.files.hold_model(usual)
        with pytest.raises(ValueError, match="give another --model_path"):
            train(tmp_path / "c")
    del other
    assert train(tmp_path / "c")[0] == 6


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize("options", [{"validation": False}, {"every": 7}])
def test_patience_without_validation_is_said_to_have_no_effect(tmp_path, caplog, options):
    train(tmp_path, patience=1, **options)
    assert "--patience has no effect" in (tmp_path / "log-a.txt").read_text()
