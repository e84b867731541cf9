import csv
import errno
import fcntl
import os
import resource

import numpy as np
import pytest

from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.runs.run_files import RunFiles
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

HISTORY = [
    {"epoch": 1, "train_loss": 0.5, "acc_train": 0.1, "valid_loss": None, "seconds": 1.5},
    {"epoch": 2, "train_loss": 0.25, "acc_train": 0.2, "valid_loss": 0.75, "seconds": 2.5},
]


@pytest.fixture
def files(tmp_path):
    files = RunFiles(str(tmp_path / "deep" / "run"), save="a.b", method="darts")
    yield files
    files._lock.close()


def test_history_as_table_and_arrays(files):
    files.write_history(HISTORY)
    rows = list(csv.DictReader(files.path("history", "csv").read_text().splitlines()))
    assert [row["valid_loss"] for row in rows] == ["", "0.75"]
    assert [float(row["train_loss"]) for row in rows] == [0.5, 0.25]
    expected = {
        "train_loss": [0.5, 0.25],
        "acc_train": [0.1, 0.2],
        "valid_loss": [0.75],
        "acc_valid": [],
        "time": [1.5, 2.5],
    }
    for name, values in expected.items():
        found = np.load(files.folder / f"{name}-a.b.npy", allow_pickle=False)
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("values", [3.5, np.arange(6).reshape(2, 3) > 2, np.zeros((0, 4))])
def test_arrays_keep_type_and_shape(files, values):
    files.write_array("x", values)
    found = np.load(files.path("x"), allow_pickle=False)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.asarray(values).dtype


def test_objects_are_not_written(files):
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        files.write_array("x", np.array([{}]))
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json("x", {"a": float("nan")})
    assert [path.name for path in files.folder.iterdir()] == [".a.b.lock"]


def test_a_full_disk_is_noticed_for_small_arrays(files):
    files.write_array("x", [1.0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(ValueError, match=r"x-a.b.npy: can't be written \(File too large"):
            files.write_array("x", np.zeros(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(np.load(files.path("x")), [1.0])


def test_the_genotype_s_name_tells_the_method(files):
    files.write_genotype(EXAMPLE)
    assert read_genotype(files.folder / "darts_geno-a.b.npy") == EXAMPLE


def test_a_run_s_name_is_its_own(files):
    with pytest.raises(ValueError, match=r"\.a\.b\.lock: another process"):
        RunFiles(str(files.folder), save="a.b", method="other")
    RunFiles(str(files.folder), save="c", method="darts")._lock.close()
    files._lock.close()
    RunFiles(str(files.folder), save="a.b", method="darts")._lock.close()


def test_leftovers_of_this_run_alone_are_removed(tmp_path):
    own = [".checkpoint-a.pt.h.12.part", ".darts_geno-a.npy.h.7.part", ".history-a.csv..1.part"]
    others = [".checkpoint-b-a.pt.h.12.part", ".checkpoint-ab.pt.h.1.part", ".x.part"]
    others += ["y-a.pt.h.1.part", ".checkpoint-a.csv.pt.h.1.part"]
    for name in own + others:
        (tmp_path / name).write_text("half")
    RunFiles(str(tmp_path), save="a", method="darts")._lock.close()
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".a.lock"}


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".checkpoint-a.pt.h.12.part").write_text("whose?")
    for _ in range(2):
        caplog.clear()
        files = RunFiles(str(tmp_path), save="a", method="darts")
        files.write_array("x", [1.0])
        assert len(caplog.records) == 1
        assert f"{tmp_path}/.a.lock: no locks here" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {
        ".a.lock",
        ".checkpoint-a.pt.h.12.part",
        "x-a.npy",
    }


@pytest.mark.parametrize(
    "name", ["genotype-a.png", "history-a.csv", "darts_geno-a.npy", "log-a.txt", "model-a.pth"]
)
def test_what_is_in_the_way_of_a_file_is_named_at_the_door(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=rf"{name}: can't be written \(it is no regular file\)"):
        RunFiles(str(tmp_path), save="a", method="darts")
    (tmp_path / "more-a.d").mkdir()
    (tmp_path / "x-b-a.png").mkdir()
    RunFiles(str(tmp_path), save="b", method="darts")._lock.close()


@pytest.mark.parametrize("save", ["", "a/b", "/a"])
def test_names_that_are_none(tmp_path, save):
    with pytest.raises(ValueError, match="--save"):
        RunFiles(str(tmp_path / "new"), save=save, method="darts")
    assert not (tmp_path / "new").exists()


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="--save_dir"):
            RunFiles(str(path), save="a", method="darts")
