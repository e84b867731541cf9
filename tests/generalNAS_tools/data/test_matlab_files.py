import contextlib

import h5py
import numpy as np
import pytest
import scipy.io

from generalNAS_tools.data.matlab_files import open_mat


def collect(array, start, stop, tile_bytes=64):
    planes = np.full((int(np.prod(array.shape[:-1])), stop - start), -1.0)
    for plane, first, values in array.pieces(start, stop, tile_bytes=tile_bytes):
        planes[plane, first - start : first - start + len(values)] = values
    return planes


def reversed_planes(matlab):
    """(N, ...) → (planes, N) in file order."""
    return matlab.transpose(range(matlab.ndim)[::-1]).reshape(-1, len(matlab))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "f4", "f8", "i8", "bool"])
@pytest.mark.parametrize("compressed", [False, True])
def test_v5_pieces_are_the_array(tmp_path, dtype, compressed):
    x = np.random.default_rng(0).integers(0, 2, (9, 4, 5)).astype(dtype)
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"first": np.arange(3.0), "x": x}, do_compression=compressed)
    with open_mat(path) as arrays:
        assert arrays["x"].shape == (5, 4, 9)
        for start, stop in ((0, 9), (2, 7), (8, 9)):
            got = collect(arrays["x"], start, stop, tile_bytes=16)
            np.testing.assert_array_equal(got, reversed_planes(x)[:, start:stop])


def test_v5_values_that_fit_into_their_tag(tmp_path):
    y = np.array([[1, 0], [0, 1]], np.uint8)
    scipy.io.savemat(tmp_path / "a.mat", {"y": y})
    with open_mat(tmp_path / "a.mat") as arrays:
        np.testing.assert_array_equal(collect(arrays["y"], 0, 2), y.T)


def test_v5_big_endian(tmp_path):
    """A file as a big-endian machine writes it, by hand from the format's description."""
    values = np.array([[1, 2, 3], [4, 5, 600]], ">u2")
    parts = (
        np.array([6, 8, 11, 0], ">u4"),
        np.array([5, 8, 2, 3], ">i4"),
        np.array([1, 1], ">u4"),
        np.frombuffer(b"y" + bytes(7), "u1"),
        np.array([4, 12], ">u4"),
        values.ravel(order="F"),
        np.zeros(4, "u1"),
    )
    body = b"".join(part.tobytes() for part in parts)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    tag = np.array([14, len(body)], ">u4").tobytes()
    (tmp_path / "a.mat").write_bytes(header + tag + body)
    assert scipy.io.loadmat(tmp_path / "a.mat")["y"].tolist() == values.tolist()
    with open_mat(tmp_path / "a.mat") as arrays:
        np.testing.assert_array_equal(collect(arrays["y"], 0, 2), values.T)


@pytest.mark.parametrize("chunks", [None, (5, 4, 2), (1, 4, 9), (2, 1, 3), (5, 4, 1), (1, 1, 1)])
@pytest.mark.parametrize("dtype", ["u1", "f8", "bool"])
def test_v73_pieces_are_the_array(tmp_path, chunks, dtype):
    x = np.random.default_rng(0).integers(0, 2, (9, 4, 5)).astype(dtype)
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file.create_dataset("x", data=x.transpose(2, 1, 0), chunks=chunks)
    with open_mat(tmp_path / "a.mat") as arrays:
        for start, stop in ((0, 9), (2, 7), (8, 9)):
            got = collect(arrays["x"], start, stop, tile_bytes=64)
            np.testing.assert_array_equal(got, reversed_planes(x)[:, start:stop])


def test_v73_reads_no_chunk_of_a_tile_twice(tmp_path):
    """Tiles lie on the grid of chunks, whatever sequence the reading starts with."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", data=np.zeros((8, 4, 40), "u1"), chunks=(2, 4, 10))
    with open_mat(tmp_path / "a.mat") as arrays:
        starts = {start for _, start, _ in arrays["x"].pieces(5, 40, tile_bytes=80)}
    assert starts == {5, 10, 20, 30}


def test_v73_chunk_too_large_for_the_memory(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", data=np.zeros((8, 4, 64), "u1"), chunks=(8, 4, 64))
    with open_mat(tmp_path / "a.mat") as arrays, pytest.raises(ValueError, match="h5repack"):
        next(arrays["x"].pieces(0, 64, tile_bytes=16))


def test_what_is_no_numeric_array_is_none(tmp_path):
    variables = {"text": "abc", "cell": np.array([1, "a"], object), "z": np.array([[1j]])}
    scipy.io.savemat(tmp_path / "v5.mat", variables)
    with open_mat(tmp_path / "v5.mat") as arrays:
        assert arrays == {"text": None, "cell": None, "z": None}
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["x"] = np.zeros((2, 2))
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        file["group/x"] = np.zeros((2, 2))
        file["outside"] = h5py.ExternalLink("other.mat", "x")
        file["again"] = h5py.SoftLink("/group/x")
    with open_mat(tmp_path / "v73.mat") as arrays:
        assert arrays == {"group": None, "outside": None, "again": None}


def test_refuses_what_is_no_matlab_file(tmp_path):
    for number, content in enumerate((b"", b"hello", bytes(500))):
        path = tmp_path / f"{number}.mat"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a MATLAB file"), open_mat(path):
            pass


@pytest.mark.parametrize("kind", ["v5", "v5 compressed", "v7.3"])
def test_truncated_anywhere_is_a_value_error(tmp_path, kind):
    x = np.random.default_rng(0).integers(0, 2, (50, 4, 20)).astype("u1")
    path, cut_path = tmp_path / "a.mat", tmp_path / "cut.mat"
    if kind == "v7.3":
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("x", data=x.transpose(2, 1, 0), chunks=(20, 4, 5), compression=1)
    else:
        scipy.io.savemat(path, {"x": x}, do_compression=kind.endswith("compressed"))
    whole = path.read_bytes()
    for cut in (129, 140, 200, 600, len(whole) // 2, len(whole) - 1):
        cut_path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"cut\.mat"), open_mat(cut_path) as arrays:
            collect(arrays["x"], 0, 50)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_v5_never_raises_anything_but_a_value_error(tmp_path, compressed):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (9, 4, 5)).astype("u1")
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": x}, do_compression=compressed)
    whole = bytearray(path.read_bytes())
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(124, min(len(whole), 220), 2):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError), open_mat(path) as arrays:
            for array in arrays.values():
                if array is not None and np.prod(array.shape) < 1e4 and len(array.shape) > 1:
                    collect(array, 0, array.shape[-1])
