import sys

import pytest
import torch
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)
from torch import nn

from generalNAS_tools.files import ranks
from tests.generalNAS_tools.runs.board_reading import board, scalars
from tests.generalNAS_tools.runs.run_cases import run_directory

ROW = {"train_loss": 0.5, "valid_loss": None, "valid_auprc": 0.25}


class KilledError(Exception):
    """The process is gone."""


def train(folder, epochs, *, kill_at=None, tensorboard=True, **config):
    """Epochs with falling rates; killed between the board's row and the checkpoint's of one."""
    with run_directory(folder, tensorboard=tensorboard, **config) as run:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        run.track(optimizer=optimizer)
        for epoch in run.epochs(epochs):
            run.begin_epoch()
            if epoch == kill_at:
                run.save_checkpoint = kill
            run.end_epoch(ROW | {"train_loss": 1 / (epoch + 1), "phase": f"phase {epoch}"})
            optimizer.param_groups[0]["lr"] /= 2


def kill():
    raise KilledError


def test_the_board_has_the_figures_and_the_rates(tmp_path):
    train(tmp_path, 3)
    assert scalars(tmp_path) == {
        "epoch": [(1, 1.0), (2, 2.0), (3, 3.0)],
        "train_loss": [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))],
        "valid_auprc": [(1, 0.25), (2, 0.25), (3, 0.25)],
        "learning_rate/optimizer/0": [(1, 1.0), (2, 0.5), (3, 0.25)],
    }
    texts = board(tmp_path).Tensors("phase/text_summary")
    assert [(t.step, t.tensor_proto.string_val[0]) for t in texts][2] == (3, b"phase 2")


def test_the_configuration_is_shown_with_the_last_figures(tmp_path):
    train(tmp_path, 1, cnn_lr=0.5, stages=[2, 3], seq_size=None)
    metadata = board(tmp_path).SummaryMetadata
    content = metadata(SESSION_START_INFO_TAG).plugin_data.content
    chosen = parse_session_start_info_plugin_data(content).hparams
    assert (chosen["cnn_lr"].number_value, chosen["stages"].string_value) == (0.5, "[2, 3]")
    content = metadata(EXPERIMENT_TAG).plugin_data.content
    shown = [metric.name.tag for metric in parse_experiment_plugin_data(content).metric_infos]
    assert {"valid_auprc", "train_loss"} <= set(shown)


@pytest.mark.parametrize("kill_at", [0, 2])
def test_a_killed_run_has_every_epoch_once(tmp_path, kill_at):
    calm, hurt = tmp_path / "calm", tmp_path / "hurt"
    train(calm, 4)
    for _ in range(2):
        with pytest.raises(KilledError):
            train(hurt, 4, kill_at=kill_at)
    train(hurt, 4)
    for name, values in scalars(calm).items():
        if not name.startswith("learning_rate"):  # this optimizer's has no schedule to take back
            assert scalars(hurt)[name] == values


def test_a_log_asked_for_later_begins_with_the_history(tmp_path):
    train(tmp_path, 1, tensorboard=False)
    train(tmp_path, 2)
    assert [step for step, _ in scalars(tmp_path)["train_loss"]] == [1, 2]


def test_a_restarted_run_shows_nothing_of_the_old_one(tmp_path):
    train(tmp_path, 3)
    with run_directory(tmp_path, tensorboard=True, restart=True) as run:
        run.track()
        run.end_epoch(ROW | {"train_loss": 7.0})
    assert scalars(tmp_path)["train_loss"] == [(1, 7.0)]


def draw(text, *, path):
    from matplotlib.image import imsave

    imsave(path, torch.zeros(2, 3, 3).numpy())


def test_a_picture_drawn_again_is_there_once(tmp_path):
    for _ in range(2):
        with run_directory(tmp_path, tensorboard=True) as run:
            run.track()
            for _ in run.epochs(1):
                run.end_epoch(ROW)
            run.draw("genotype", draw, "what")
    assert (tmp_path / "genotype-a.png").exists()
    (image,) = board(tmp_path).Images("genotype")
    assert (image.width, image.height, image.step) == (3, 2, 2)


def test_without_the_flag_there_is_no_log(tmp_path):
    with run_directory(tmp_path) as run:
        run.track()
        run.end_epoch(ROW)
    assert not (tmp_path / "tensorboard-a").exists()


def test_only_rank_0_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "number", lambda: 1)
    from generalNAS_tools.runs.board import Board

    Board(tmp_path / "board", {"tensorboard": True}, []).add_epoch({"epoch": 1})
    assert not (tmp_path / "board").exists()


def warnings(caplog):
    return [r.message for r in caplog.records if r.message.startswith("--tensorboard: ")]


@pytest.fixture
def heard(caplog, monkeypatch):
    """The log reaches the test although a run replaces its handlers."""
    monkeypatch.setattr("generalNAS_tools.runs.run_directory.open_log", lambda path: None)
    return caplog


def test_without_tensorboard_one_line_says_so(tmp_path, monkeypatch, heard):
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    train(tmp_path, 3)
    assert warnings(heard) == ["--tensorboard: it is not installed here (pip install tensorboard)"]


def test_a_file_in_the_way_is_one_warning(tmp_path, heard):
    (tmp_path / "tensorboard-a").write_text("a file")
    train(tmp_path, 3)
    (line,) = warnings(heard)
    assert line.endswith("the run goes on without it")


def test_a_full_disk_is_one_warning(tmp_path, heard, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    original = RecordWriter.write

    def write(self, data):
        if b"valid_auprc" in data and b"hparams" not in data:
            raise OSError(28, "No space left on device")
        original(self, data)

    monkeypatch.setattr(RecordWriter, "write", write)
    train(tmp_path, 3)
    assert warnings(heard) == [
        "--tensorboard: [Errno 28] No space left on device; the run goes on without it"
    ]
    assert len((tmp_path / "history-a.csv").read_text().splitlines()) == 4
