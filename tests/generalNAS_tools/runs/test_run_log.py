import logging
import sys

import pytest

from generalNAS_tools.runs.run_log import Clock, duration, open_log

ROW = {"epoch": 1, "train_loss": 0.51234, "valid_loss": None, "kept": 3, "seconds": 2.0}


@pytest.fixture(autouse=True)
def _own_handlers():
    handlers = list(logging.getLogger().handlers)
    yield
    logging.basicConfig(handlers=handlers, force=True)


def test_lines_go_to_stderr_and_the_file(tmp_path, capsys):
    path = tmp_path / "log.txt"
    open_log(path)
    logging.getLogger("a.tool").info("öne")
    open_log(path)
    logging.getLogger("a.tool").info("two")
    logging.getLogger("a.tool").debug("hidden")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split()[-1] for line in lines] == ["öne", "two"]
    assert capsys.readouterr().err.splitlines() == lines


def test_without_a_file(capsys):
    open_log(None)
    logging.getLogger("a.tool").info("line")
    assert capsys.readouterr().err.endswith(" line\n")


def test_a_file_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        open_log(tmp_path / "missing" / "log.txt")


def test_a_full_disk_leaves_no_traceback(capsys):
    open_log("/dev/full")
    logging.getLogger("a.tool").info("line")
    logging.getLogger().handlers.clear()  # closing this one would fail as well
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "Logging error" not in error


def test_a_run_goes_on_without_stderr(tmp_path, monkeypatch):
    open_log(tmp_path / "log.txt")
    monkeypatch.setattr(sys, "stderr", None)
    for name in ("one", "two"):
        logging.getLogger("a.tool").info(name)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["one", "two"]


def test_the_line_of_an_epoch():
    clock = Clock()
    line = clock.line([ROW])
    assert line == "epoch 1  train_loss 0.5123  kept 3  2.0 s"
    clock.total_epochs = 4
    later = {**ROW, "epoch": 2, "seconds": 4.0}
    assert clock.line([ROW, later]).endswith("4.0 s  about 0:00:06 left")
    assert "epoch 2/4" in clock.line([ROW, later])
    assert "left" not in clock.line([ROW] * 4)


def test_the_clock_counts_earlier_parts():
    clock = Clock(100.0)
    assert 100.0 <= clock.epoch_seconds() < 160.0
    line = clock.step_line(3, 5, 10, loss=0.25)
    assert line.startswith("epoch 3  step 5/10  train_loss 0.2500  0.0")
    assert "about 0:01:4" in line
    clock.line([ROW])
    assert clock.epoch_seconds() < 60.0


def test_durations():
    assert [duration(s) for s in (0, 59.6, 3723)] == ["0:00:00", "0:01:00", "1:02:03"]
    assert duration(93784) == "1 day, 2:03:04"
    assert duration(1e300) == "999999999 days, 23:59:59"
