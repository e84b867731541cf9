import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from generalNAS_tools.files.progress import STDERR, progress_bar

ROOT = Path(__file__).parents[3]

SPEAKING = """
import contextlib, logging, os, sys, time
from generalNAS_tools.files.progress import STDERR, keep_descriptors, progress_bar
from generalNAS_tools.runs.run_log import open_log
keep_descriptors()
with open(sys.argv[1], "w") as result:
    open_log(None)
    for step in progress_bar(range(3), desc="bar", mininterval=0):
        logging.info("line %d", step)
        if step == 0:
            STDERR.write("ready\\n")
            while not os.path.exists(sys.argv[1] + ".go"):
                time.sleep(0.01)
    with contextlib.suppress(OSError):
        os.write(2, b"a library's complaint")
    result.write("done")
"""


def speak(tmp_path, **streams):
    command = [sys.executable, "-c", SPEAKING, str(tmp_path / "result")]
    return subprocess.Popen(command, cwd=ROOT, **streams)


def terminal():
    master, slave = pty.openpty()
    termios.tcsetwinsize(master, (24, 80))
    return master, slave


def finish(tmp_path, process):
    (tmp_path / "result.go").touch()
    assert process.wait() == 0
    assert (tmp_path / "result").read_text() == "done"


def read_until(descriptor, text):
    got = b""
    while text not in got:
        got += os.read(descriptor, 4096)
    return got


def test_a_pipe_whose_reader_leaves(tmp_path):
    process = speak(tmp_path, stderr=subprocess.PIPE)
    assert b"bar" not in read_until(process.stderr.fileno(), b"ready")
    process.stderr.close()
    finish(tmp_path, process)


def test_a_terminal_that_is_closed(tmp_path):
    master, slave = terminal()
    process = speak(tmp_path, stderr=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    assert b"bar" in read_until(master, b"ready")
    os.close(master)
    finish(tmp_path, process)


@pytest.mark.parametrize("streams", ["2>&-", "2>&- >&-", "<&- >&- 2>&-"])
def test_streams_that_were_never_open(tmp_path, streams):
    """What libraries write to the second descriptor must not end in a file of ours."""
    (tmp_path / "result.go").touch()
    (tmp_path / "script.py").write_text(SPEAKING)
    command = f'exec "{sys.executable}" script.py result {streams}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=environment)
    finish(tmp_path, process)


@pytest.mark.parametrize("stream", [None, io.StringIO(), open(os.devnull)])  # noqa: SIM115
def test_what_cannot_be_written_to_is_given_up(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress_bar(range(3))) == [0, 1, 2]
    STDERR.write("lost")


def test_lines_stand_above_the_bar(tmp_path):
    master, slave = terminal()
    process = speak(tmp_path, stderr=slave)
    os.close(slave)
    read_until(master, b"ready")
    (tmp_path / "result.go").touch()
    text = read_until(master, b"complaint").decode()
    finish(tmp_path, process)
    (line,) = (line for line in text.splitlines() if "line 1" in line)
    assert line.split("\r")[-1].strip().endswith("line 1")
    assert "bar" not in line.split("\r")[-1]
