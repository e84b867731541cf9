"""Scripts whose steps are captured, by a stand-in for CUDA graphs, give what they give without."""

import signal

import pytest

from tests.graph_stand_in import capture_here
from tests.scripts.runs import SEARCH, result, run_here
from tests.scripts.test_interruptions import send_at
from tests.scripts.trajectories import digests


@pytest.mark.parametrize("name", ["darts_adamw", "dep_darts", "osp", "bonas", "final", "deepsea"])
def test_captured_steps_change_nothing(name, tmp_path, monkeypatch):
    for folder in ("plain", "captured"):
        (tmp_path / folder).mkdir()
    expected = digests(name, tmp_path / "plain")
    graph = capture_here(monkeypatch)
    assert digests(name, tmp_path / "captured") == expected
    assert graph.replays > graph.made > 3


@pytest.mark.parametrize("call", [1, 3, 6, 14])  # while it warms up, is checked, replayed
def test_stopped_in_a_captured_epoch(call, toy, searched, tmp_path, monkeypatch):
    capture_here(monkeypatch)
    line = toy.search(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, signal.SIGTERM, name="weight_step", call=call)
        assert run_here(SEARCH, line).code == 128 + signal.SIGTERM
    assert run_here(SEARCH, line).code == 0
    assert result(tmp_path) == result(searched)
