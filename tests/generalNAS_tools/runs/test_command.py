import logging
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from generalNAS_tools.runs.command import (
    keep_freed_memory,
    pick_device,
    run_command,
    seed_everything,
)
from generalNAS_tools.runs.divergence import Diverged
from generalNAS_tools.runs.signals import STOPPING, Stopped
from tests.scripts.in_process import signals_kept


def leave(error, capsys):
    """Exit code and stderr of a script that raises."""

    def main():
        raise error

    with signals_kept(), pytest.raises(SystemExit) as leaving:
        run_command(main)
    return leaving.value.code, capsys.readouterr().err


def test_divergence_has_a_code_of_its_own(capsys):
    assert leave(Diverged("epoch 3: nan", "less"), capsys) == (3, "epoch 3: nan; less\n")


def test_bad_input_is_one_line(capsys):
    assert leave(ValueError("x.mat:\n  wrong\tvalue"), capsys) == (2, "x.mat: wrong value\n")


@pytest.mark.parametrize(
    ("work", "line"),
    [
        (lambda: Path("/nowhere/at all").stat(), "/nowhere/at all: No such file or directory\n"),
        (lambda: np.empty(2**58), "out of memory; try a smaller network or --batch_size (Unable"),
        (lambda: torch.empty(2**58), "out of memory; try a smaller network or --batch_size ("),
    ],
)
def test_what_the_machine_refuses_is_one_line(work, line, capsys):
    with pytest.raises(SystemExit) as leaving:
        run_command(work)
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert error.startswith(line)
    assert error.count("\n") == 1


def test_bad_input_has_its_code_without_stderr(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert leave(ValueError("wrong"), capsys)[0] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_have_their_codes(number, capsys, caplog):
    with caplog.at_level(logging.INFO):
        assert leave(Stopped(number), capsys)[0] == 128 + number
    assert f"stopped by {number.name}; the same command goes on" in caplog.text


@pytest.mark.parametrize("number", STOPPING)
def test_signals_before_anything_has_to_be_saved(number):
    def main():
        try:
            signal.raise_signal(number)
            time.sleep(1)
        except Exception:
            pytest.fail("a signal is no error")
        finally:
            if number != signal.SIGINT:
                signal.raise_signal(number)  # while it cleans up

    with signals_kept(), pytest.raises(SystemExit) as leaving:
        run_command(main)
    assert leaving.value.code == 128 + number


def test_other_errors_are_not_hidden():
    def main():
        raise RuntimeError("a bug")

    with signals_kept(), pytest.raises(RuntimeError, match="a bug"):
        run_command(main)


def test_success_returns():
    with signals_kept():
        assert run_command(lambda: None) is None


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in {"cpu", "cuda"}
    for name in ("", "abacus", "meta", "mps", "CPU", "cpu:x", "cuda:99"):
        with pytest.raises(ValueError, match=f"--device {name}: "):
            pick_device(name)


def test_seeding_repeats(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        draws = []
        for seed in (1, 1, 2**63 - 1):
            seed_everything(seed)
            draws.append(torch.rand(3))
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_freed_memory_is_not_mapped_anew(monkeypatch):
    lines = [
        "import resource, torch",
        "from generalNAS_tools.runs.command import keep_freed_memory",
        "keep_freed_memory()",
        "def use():",
        "    pieces = [torch.empty(64 << 20, dtype=torch.uint8) for _ in range(40)]",
        "    [piece[::4096].fill_(1) for piece in pieces]",
        "[use() for _ in range(3)]",
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt",
        "use()",
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)",
    ]
    line = [sys.executable, "-c", "\n".join(lines)]
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    faults = int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    assert faults < 65_536  # of 655,360 pages; a piece may find its place taken


def test_older_versions_of_glibc_are_asked_for_nothing_that_they_refuse(monkeypatch):
    mallopt = mock.Mock()
    monkeypatch.setattr("ctypes.CDLL", lambda _: mock.Mock(mallopt=mallopt))
    keep_freed_memory()
    asked = dict(call.args for call in mallopt.call_args_list)
    assert asked.get(-3, 0) <= 32 << 20  # M_MMAP_THRESHOLD
    assert asked[-4] == 0  # M_MMAP_MAX
