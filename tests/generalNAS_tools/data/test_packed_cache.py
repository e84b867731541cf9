import errno
import fcntl
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import generalNAS_tools.data.cache_header
import generalNAS_tools.data.packed_cache
from generalNAS_tools.data.cache_header import HEADER_BYTES
from generalNAS_tools.data.packed_cache import packed_cache
from tests.toy_bundle import toy_arrays, write_v5, write_v73


def expected_records(x, labels):
    parts = [np.packbits(x.reshape(len(x), -1), axis=1), np.packbits(labels, axis=1)]
    return np.concatenate(parts, axis=1)


def records_of(cache):
    records = np.fromfile(cache.path, np.uint8, offset=HEADER_BYTES)
    return records.reshape(cache.layout.num_sequences, cache.layout.record_bytes)


@pytest.fixture
def source(tmp_path):
    return write_v73(tmp_path / "train.mat", "train", *toy_arrays(10, 8, 3))


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 9, 2), (7, 1, 3), (20, 3, 9), (33, 50, 1), (30, 16, 8)]
)
@pytest.mark.parametrize("version", ["v5", "v5 uncompressed", "v7.3"])
@pytest.mark.parametrize("memory", [40, 1 << 20])
def test_every_record_exact_and_of_the_stated_size(tmp_path, monkeypatch, shape, version, memory):
    for name in ("PACKING_BYTES", "TILE_BYTES"):
        monkeypatch.setattr(generalNAS_tools.data.packed_cache, name, memory)
    num_sequences, seq_size, num_targets = shape
    x, labels = toy_arrays(*shape)
    if version == "v7.3":
        path = write_v73(tmp_path / "a.mat", "valid", x, labels)
    else:
        path = write_v5(tmp_path / "a.mat", "valid", x, labels, compressed=version == "v5")
    cache = packed_cache(path, "valid")
    assert cache.layout == shape
    record_bytes = -(-4 * seq_size // 8) + -(-num_targets // 8)
    assert cache.path.stat().st_size == HEADER_BYTES + num_sequences * record_bytes
    np.testing.assert_array_equal(records_of(cache), expected_records(x, labels))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "bool"])
@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_any_numeric_type(tmp_path, dtype, write):
    x, labels = toy_arrays(6, 10, 3)
    path = write(tmp_path / "a.mat", "test", x.astype(dtype), labels.astype(dtype))
    np.testing.assert_array_equal(
        records_of(packed_cache(path, "test")), expected_records(x, labels)
    )


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
@pytest.mark.parametrize("write", [write_v5, write_v73])
@pytest.mark.parametrize("variable", ["trainxdata", "traindata"])
def test_values_other_than_0_and_1_are_named(tmp_path, value, write, variable):
    x, labels = (array.astype("f8") for array in toy_arrays(6, 10, 3))
    (x if variable == "trainxdata" else labels).flat[17] = value
    path = write(tmp_path / "a.mat", "train", x, labels)
    with pytest.raises(ValueError, match=rf"{variable} holds {value}.*only 0 and 1"):
        packed_cache(path, "train")
    assert os.listdir(tmp_path) == ["a.mat"]


def test_wrong_path_names_the_flag(tmp_path):
    with pytest.raises(ValueError, match=r"none\.mat: no such file.* for --valid_directory"):
        packed_cache(tmp_path / "none.mat", "valid")


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_missing_variables_are_listed(tmp_path, write):
    path = write(tmp_path / "a.mat", "train", *toy_arrays(4, 8, 2))
    with pytest.raises(ValueError, match="testxdata; the file holds traindata, trainxdata"):
        packed_cache(path, "test")


def test_numbers_of_sequences_must_agree(tmp_path):
    x, labels = toy_arrays(6, 10, 3)
    path = write_v5(tmp_path / "a.mat", "train", x, labels[:5])
    with pytest.raises(ValueError, match=r"traindata is \(5, 3\).*6 sequences"):
        packed_cache(path, "train")


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2)])
def test_other_axes_are_refused(tmp_path, axes):
    x, labels = toy_arrays(6, 10, 3)
    path = write_v5(tmp_path / "a.mat", "train", x.transpose(axes), labels)
    with pytest.raises(ValueError, match=r"expected \(sequences, 4, length\)"):
        packed_cache(path, "train")


def test_empty_is_refused(tmp_path):
    path = write_v5(tmp_path / "a.mat", "train", np.zeros((6, 4, 10), "u1"), np.zeros((6, 0), "u1"))
    with pytest.raises(ValueError, match="empty"):
        packed_cache(path, "train")


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_a_truncated_source_leaves_nothing(tmp_path, write):
    path = write(tmp_path / "a.mat", "train", *toy_arrays(400, 50, 30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match="damaged"):
        packed_cache(path, "train")
    assert os.listdir(tmp_path) == ["a.mat"]


def test_a_cache_is_reused(source):
    first = packed_cache(source, "train").path.stat()
    second = packed_cache(source, "train").path.stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_a_stale_cache_is_made_anew(source):
    packed_cache(source, "train")
    x, labels = toy_arrays(10, 8, 3, seed=1)
    before = source.stat()
    write_v73(source, "train", x, labels)
    assert source.stat().st_size == before.st_size
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    np.testing.assert_array_equal(
        records_of(packed_cache(source, "train")), expected_records(x, labels)
    )


def write_at_time_1(path, seed):
    x, labels = toy_arrays(10, 8, 3, seed=seed)
    write_v5(path, "train", x, labels, compressed=False)
    os.utime(path, (1, 1))
    return expected_records(x, labels)


def test_other_data_of_equal_size_and_time(tmp_path):
    source, other, link = tmp_path / "a.mat", tmp_path / "b.mat", tmp_path / "link.mat"
    write_at_time_1(source, 1)
    packed_cache(source, "train")
    records = write_at_time_1(source, 2)
    np.testing.assert_array_equal(records_of(packed_cache(source, "train")), records)
    link.symlink_to(source)
    packed_cache(link, "train")
    records = write_at_time_1(other, 3)
    link.unlink()
    link.symlink_to(other)
    np.testing.assert_array_equal(records_of(packed_cache(link, "train")), records)


def test_the_same_data_at_another_place_are_not_packed_again(tmp_path, monkeypatch):
    source = tmp_path / "a.mat"
    write_at_time_1(source, 1)
    before = packed_cache(source, "train").path.stat()
    shutil.copy2(source, tmp_path / "copy.mat")
    (tmp_path / "copy.mat").replace(source)
    assert packed_cache(source, "train").path.stat().st_ino == before.st_ino
    monkeypatch.setattr(generalNAS_tools.data.cache_header, "checksum", None)
    packed_cache(source, "train")  # by its new stamp, without a look at the content


def test_what_a_killed_packer_left_goes_even_if_nothing_is_packed(source):
    path = packed_cache(source, "train").path
    dead = path.with_name(f".{path.name}.h.1.part")
    alive = path.with_name(f".{path.name}.h.2.part")
    for leftover in (dead, alive):
        leftover.write_bytes(b"half")
        os.utime(leftover, (1, 1))
    with alive.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        packed_cache(source, "train")
        assert not dead.exists()
        assert alive.exists()


@pytest.mark.parametrize("name", ["open", "is_file"])
def test_a_cache_that_may_not_be_read(source, monkeypatch, name):
    path = packed_cache(source, "train").path
    original = getattr(Path, name)

    def refuse(self, *arguments, **options):
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(ValueError, match=f"^{path}: Permission denied; .*--cache_dir$"):
        packed_cache(source, "train")


def test_a_name_too_long_for_a_cache(tmp_path):
    path = write_v5(tmp_path / f"{'n' * 245}.mat", "train", *toy_arrays(4, 8, 2))
    with pytest.raises(ValueError, match=r"packed: File name too long.*|can't be written"):
        packed_cache(path, "train")


def damages():
    def edit(**fields):
        def change(raw):
            header = json.loads(raw[:HEADER_BYTES]) | fields
            return json.dumps(header).encode().ljust(HEADER_BYTES) + raw[HEADER_BYTES:]

        return change

    yield lambda raw: raw[:-1]
    yield lambda raw: raw + b"\0"
    yield lambda raw: b""
    yield lambda raw: raw[:100]
    yield lambda raw: b"\xff" * len(raw)
    yield lambda raw: b"[]".ljust(HEADER_BYTES) + raw[HEADER_BYTES:]
    yield edit(format="other")
    yield edit(layout=[-10, 8, 3])
    yield edit(layout=["10", 8, 3])
    yield edit(layout=[10, 10**30, 3])
    yield edit(layout=[10, 8])
    yield edit(layout={"10": 1})
    yield edit(checksum="x", identity=[1, 2])
    yield edit(extra=1)


@pytest.mark.parametrize("damage", list(damages()))
def test_a_damaged_cache_is_made_anew(source, damage, caplog):
    caplog.set_level(logging.INFO)
    cache = packed_cache(source, "train")
    good = cache.path.read_bytes()
    cache.path.write_bytes(damage(good))
    caplog.clear()
    assert packed_cache(source, "train") == cache
    assert cache.path.read_bytes() == good
    assert "made anew" in caplog.text


def test_files_of_one_name_share_a_cache_folder(tmp_path):
    caches = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = write_v5(tmp_path / name / "train.mat", "train", *toy_arrays(4, 8, 2))
        caches.append(packed_cache(path, "train", cache_dir=tmp_path / "new" / "cache").path)
    assert caches[0] != caches[1]
    assert all(path.parent == tmp_path / "new" / "cache" for path in caches)
    assert os.listdir(tmp_path / "a") == ["train.mat"]


def test_a_folder_that_is_not_writable(source, monkeypatch):
    original = Path.open

    def refuse(self, mode="r", **options):
        if self.parent == source.parent and "x" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return original(self, mode, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"packed: can't be written \(Permission.*--cache_dir"):
        packed_cache(source, "train")
    assert os.listdir(source.parent) == ["train.mat"]
    (source.parent / "cache").mkdir()
    packed_cache(source, "train", cache_dir=source.parent / "cache")


def test_a_full_disk_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for the disk's."""
    path = write_v5(tmp_path / "a.mat", "train", *toy_arrays(2000, 100, 3))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(ValueError, match=r"packed: can't be written"):
            packed_cache(path, "train")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["a.mat"]


PACK = """
import sys
from pathlib import Path
from generalNAS_tools.data import packed_cache

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10

before = peak()
packed_cache.PACKING_BYTES = packed_cache.TILE_BYTES = 4 << 20
cache = packed_cache.packed_cache(Path(sys.argv[1]), "train")
print(peak() - before)
"""


def start_packing(path):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", PACK, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def test_two_processes_at_once(tmp_path):
    x, labels = toy_arrays(3000, 100, 3)
    path = write_v5(tmp_path / "a.mat", "train", x, labels)
    processes = [start_packing(path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        process.communicate()
    assert sorted(os.listdir(tmp_path)) == ["a.mat", "a.mat.train.packed"]
    np.testing.assert_array_equal(
        records_of(packed_cache(path, "train")), expected_records(x, labels)
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
@pytest.mark.parametrize(
    ("kind", "limit"), [("v5", 180), ("v5 compressed", 180), ("few", 40), ("along L", 40)]
)
def test_memory_stays_bounded(tmp_path, kind, limit):
    """Unpacked the file takes 80 MB, packed 10; the records may take 4 at a time.

    A v5 variable is read whole, and scipy copies it once on the way.
    """
    x = np.zeros((20_000, 4, 1000), np.uint8, order="F")
    x[:, 2] = 1
    labels = np.zeros((20_000, 2), np.uint8)
    if kind.startswith("v5"):
        path = write_v5(tmp_path / "a.mat", "train", x, labels, compressed=kind != "v5")
    else:
        chunks = {"few": (1000, 4, 2), "along L": (8, 4, 20_000)}[kind]
        path = write_v73(tmp_path / "a.mat", "train", x, labels, chunks=chunks, compression=1)
    process = start_packing(path)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert int(output) < limit << 20
