import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generalNAS_tools.files.atomic_files import (
    atomic_write,
    check_file,
    check_writable,
    lock_file,
    remove_leftovers,
)


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_file_in_a_new_folder(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    with atomic_write(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert listing(path.parent) == ["file"]


def test_the_old_content_stays_until_the_new_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new" * 100_000)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 100_000


@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_exception_inside_changes_nothing(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(kind):
        write_half(path, kind("stop"))
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_at_the_end(tmp_path, monkeypatch, step):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ValueError, match=r"file: can't be written \(No space left on device\)"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["file"]


def write_half(path, error):
    with atomic_write(path) as file:
        file.write(b"half")
        raise error


def write(path, content):
    with atomic_write(path) as file:
        file.write(content)


LIMITED = """
import resource, signal, sys
import numpy as np
from generalNAS_tools.files.atomic_files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with atomic_write(sys.argv[1]) as file:
        {}
except ValueError as error:
    sys.exit(f"refused: {{error}}")
"""


@pytest.mark.parametrize(
    "statement",
    [
        "file.write(b'x' * 100_000)",
        "[file.write(b'x' * 100) for _ in range(1000)]",
        "np.save(file, np.zeros(10_000))",
        "import torch; torch.save({'a': torch.zeros(10_000)}, file)",
    ],
)
def test_a_full_disk_is_named_and_the_old_content_kept(tmp_path, statement):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    run = subprocess.run(
        [sys.executable, "-c", LIMITED.format(statement), str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"refused: {path}: can't be written (")
    assert run.stderr.count("\n") == 1
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["file"]


def test_places_that_can_t_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(ValueError, match="can't be written"):
            write(path, b"new")
        with pytest.raises(ValueError, match=f"^{path}: can't be written"):
            check_writable(path)
    assert listing(tmp_path) == ["file", "folder"]


def test_checking_a_place_leaves_what_stands_there(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new" / "file")
    assert listing(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_killed_writer_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys\n"
        "from generalNAS_tools.files.atomic_files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half' * 10_000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, check=False)
    assert run.returncode == -9
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_what_killed_writers_left_is_removed(tmp_path):
    path = tmp_path / "f[1]"
    hour_ago = time.time() - 3600
    names = [".f[1].12.part", ".f[1].other.part", ".f1.12.part", ".f[1].7.part", ".f[1].8.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (hour_ago, hour_ago))
    (tmp_path / names[4]).write_bytes(b"just now")
    with (tmp_path / names[3]).open() as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        write(path, b"new")
        assert listing(tmp_path) == sorted([*names[2:], "f[1]"])
    write(path, b"new")
    assert listing(tmp_path) == sorted([names[2], names[4], "f[1]"])


def test_a_living_writer_s_file_is_left_alone(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"slow")
        file.flush()
        (half,) = tmp_path.iterdir()
        os.utime(half, (0, 0))
        half.rename(tmp_path / ".file.99.part")  # as if another process wrote it
        write(path, b"quick")
        assert listing(tmp_path) == [".file.99.part", "file"]
        (tmp_path / ".file.99.part").rename(half)
    assert path.read_bytes() == b"slow"


def test_an_array_on_a_full_disk_is_noticed(tmp_path):
    """numpy alone writes past Python's file and leaves a truncated array without an error."""
    path = tmp_path / "a.npy"
    code = (
        "import resource, signal, numpy as np\n"
        "from generalNAS_tools.files.atomic_files import write_array\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        f"write_array({str(path)!r}, np.zeros(1000))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "can't be written" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_writers_with_one_process_number(tmp_path, monkeypatch):
    """As two containers do that share a folder, each the first process of its own."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "file"
    with atomic_write(path) as slow:
        slow.write(b"slow")
        write(path, b"quick")
        assert path.read_bytes() == b"quick"
        slow.write(b" but whole")
    assert path.read_bytes() == b"slow but whole"
    assert listing(tmp_path) == ["file"]


def test_a_new_file_has_the_user_s_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


KILLED = """
import os, signal, sys
from generalNAS_tools.files.atomic_files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_writer_of_this_machine_left_is_removed_at_once(tmp_path):
    path = tmp_path / "file"
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    remove_leftovers(path)
    assert listing(tmp_path) == []


def refusing(monkeypatch, module, name, number, *, folders_only=False):
    """Makes a system call fail as some file systems let it."""
    original = getattr(module, name)

    def refuse(file, *arguments):
        if folders_only and not stat.S_ISDIR(os.fstat(file).st_mode):
            return original(file, *arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, name, refuse)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EACCES])
def test_a_folder_that_can_t_be_synced(tmp_path, monkeypatch, number):
    refusing(monkeypatch, os, "fsync", number, folders_only=True)
    write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    refusing(monkeypatch, fcntl, "flock", number)
    (tmp_path / ".file.12.part").write_bytes(b"whose?")
    os.utime(tmp_path / ".file.12.part", (0, 0))
    write(tmp_path / "file", b"new")
    assert listing(tmp_path) == [".file.12.part", "file"]
    with (tmp_path / "file").open() as file:
        assert lock_file(file) is False


def test_other_failures_of_locking_are_errors(tmp_path, monkeypatch):
    refusing(monkeypatch, fcntl, "flock", errno.EIO)
    with pytest.raises(ValueError, match=r"file: can't be written \(Input/output error\)"):
        write(tmp_path / "file", b"new")


def test_files_that_can_t_be_read(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    check_file(tmp_path / "file", "a text")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=f"^{path}: no such file; expected a text$"):
            check_file(path, "a text")
    with pytest.raises(ValueError, match=r"x: can't be read \(File name too long\)|no such file"):
        check_file(tmp_path / ("x" * 300), "a text")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"can't be read \(permission denied\); expected a text"):
        check_file(tmp_path / "file", "a text")
