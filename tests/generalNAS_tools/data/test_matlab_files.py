import contextlib
import fcntl
import struct

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from generalNAS_tools.data.matlab_files import open_mat


def collect(array, start, stop, tile_bytes=64):
    planes = np.full((int(np.prod(array.values.shape[:-1])), stop - start), -1.0)
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
    with open_mat(path, ["x"]) as (array,):
        assert array.values.shape == (5, 4, 9)
        for start, stop in ((0, 9), (2, 7), (8, 9)):
            got = collect(array, start, stop, tile_bytes=16)
            np.testing.assert_array_equal(got, reversed_planes(x)[:, start:stop])


def test_v5_values_that_fit_into_their_tag(tmp_path):
    y = np.array([[1, 0], [0, 1]], np.uint8)
    scipy.io.savemat(tmp_path / "a.mat", {"y": y})
    with open_mat(tmp_path / "a.mat", ["y"]) as (array,):
        np.testing.assert_array_equal(collect(array, 0, 2), y.T)


def test_v5_big_endian(tmp_path):
    """A file as a big-endian machine writes it, by hand from the format's description."""
    values = np.array([[1, 0, 1], [0, 0, 1]], ">u2")
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
    with open_mat(tmp_path / "a.mat", ["y"]) as (array,):
        np.testing.assert_array_equal(collect(array, 0, 2), values.T)


@pytest.mark.parametrize("chunks", [None, (5, 4, 2), (1, 4, 9), (2, 1, 3), (5, 4, 1), (1, 1, 1)])
@pytest.mark.parametrize("dtype", ["u1", "f8", "bool"])
def test_v73_pieces_are_the_array(tmp_path, chunks, dtype):
    x = np.random.default_rng(0).integers(0, 2, (9, 4, 5)).astype(dtype)
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file.create_dataset("x", data=x.transpose(2, 1, 0), chunks=chunks)
    with open_mat(tmp_path / "a.mat", ["x"]) as (array,):
        for start, stop in ((0, 9), (2, 7), (8, 9)):
            got = collect(array, start, stop, tile_bytes=64)
            np.testing.assert_array_equal(got, reversed_planes(x)[:, start:stop])


def test_v73_reads_no_chunk_of_a_tile_twice(tmp_path):
    """Tiles lie on the grid of chunks, whatever sequence the reading starts with."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", data=np.zeros((8, 4, 40), "u1"), chunks=(2, 4, 10))
    with open_mat(tmp_path / "a.mat", ["x"]) as (array,):
        starts = {start for _, start, _ in array.pieces(5, 40, tile_bytes=80)}
    assert starts == {5, 10, 20, 30}


def test_v73_chunk_too_large_for_the_memory(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", data=np.zeros((8, 4, 64), "u1"), chunks=(8, 4, 64))
    with (
        open_mat(tmp_path / "a.mat", ["x"]) as (array,),
        pytest.raises(ValueError, match="h5repack"),
    ):
        next(array.pieces(0, 64, tile_bytes=16))


def refusal(path, name="y"):
    with pytest.raises(ValueError, match=r"\.mat: ") as caught, open_mat(path, [name]) as (array,):
        collect(array, 0, array.values.shape[-1])
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0101", "y is of class char, expected numbers; save y - '0' instead"),
        (np.array([1, "a"], object), "class cell, expected numbers; save cell2mat(y)"),
        (np.array([[1j]]), "class complex, expected numbers; save real(y)"),
        (scipy.sparse.csc_matrix([[1.0]]), "class sparse, expected numbers; save full(y)"),
        ({"field": 1}, "class struct, expected numbers; save the numbers in y instead"),
    ],
)
def test_v5_variables_of_another_class_are_named(tmp_path, value, message):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((2, 2)), "y": value})
    assert message in refusal(tmp_path / "a.mat")
    assert refusal(tmp_path / "a.mat", "z") == "no array z; the file holds x, y"


def write_odd(path):
    """A v7.3 file with a variable of every class that holds no plain numbers, as MATLAB does."""
    with h5py.File(path.with_name("other.mat"), "w") as file:
        file["x"] = np.zeros((2, 2))
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = np.zeros((2, 3))
        file["struct/x"] = file["x"]
        for name, value in (("data", [1.0]), ("ir", [0]), ("jc", [0, 1])):
            file[f"sparse/{name}"] = value
        file["sparse"].attrs["MATLAB_sparse"] = 1
        file["outside"] = h5py.ExternalLink("other.mat", "x")
        file["again"] = h5py.SoftLink("/x")
        file["nowhere"] = h5py.SoftLink("/nothing")
        file["z"] = np.zeros((2, 2), [("real", "f8"), ("imag", "f8")])
        file["cell"] = np.full((2, 2), file["x"].ref, h5py.ref_dtype)
        file["char"] = np.zeros((2, 2), "u2")
        file["char"].attrs["MATLAB_class"] = np.bytes_("char")
        file["string"] = np.zeros((1, 6), "u4")
        file["string"].attrs["MATLAB_class"] = np.bytes_("string")
        file["null"] = h5py.Empty("f8")
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource("other.mat", "x", (2, 2))
        file.create_virtual_dataset("virtual", layout)
        file["type"] = np.dtype("f8")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("struct", "class struct"),
        ("sparse", "save full(sparse) instead"),
        ("outside", "class link"),
        ("again", "class link"),
        ("nowhere", "class link"),
        ("virtual", "class link"),
        ("z", "save real(z) instead"),
        ("cell", "save cell2mat(cell) instead"),
        ("char", "save char - '0' instead"),
        ("string", "class string, expected numbers; save the numbers in string instead"),
        ("type", "damaged"),
    ],
)
def test_v73_variables_of_another_class_are_named(tmp_path, name, message):
    path = tmp_path / "a.mat"
    write_odd(path)
    assert message in refusal(path, name)
    with open_mat(path, ["x"]) as (array,):  # the odd ones beside it don't matter
        assert array.values.shape == (2, 3)


def test_v73_is_read_where_it_cannot_be_locked(tmp_path):
    write_odd(tmp_path / "a.mat")
    with (tmp_path / "a.mat").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with open_mat(tmp_path / "a.mat", ["x"]) as (array,):
            assert array.values.shape == (2, 3)


def test_v73_labels_of_one_axis(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["y"] = np.array([0, 1, 1, 0], "u1")
    with open_mat(tmp_path / "a.mat", ["y"]) as (array,):
        assert array.values.shape == (1, 4)
        np.testing.assert_array_equal(collect(array, 1, 4), [[1, 1, 0]])


def test_shapes_that_no_file_of_this_size_can_hold(tmp_path):
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        file.create_dataset("y", (3, 1 << 40), "u1", chunks=(3, 1000))
        file.create_dataset("one_axis", (1 << 40,), "u1", chunks=(1000,))
    scipy.io.savemat(tmp_path / "dense.mat", {"y": np.zeros((2, 3), "u1")})
    raw = (tmp_path / "dense.mat").read_bytes()
    claimed = np.array([2, 3], "<i4").tobytes(), np.array([1 << 30, 3], "<i4").tobytes()
    (tmp_path / "dense.mat").write_bytes(raw.replace(*claimed))
    for path, name in (("v73", "y"), ("v73", "one_axis"), ("dense", "y")):
        assert "more than a file of" in refusal(tmp_path / f"{path}.mat", name)


def element(kind, body):
    """An element of a v5 file: its tag, its bytes, and padding."""
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def matlab_string(name):
    """What MATLAB writes for a variable of its class string: no dimensions, as those lie in it."""
    dims = element(6, struct.pack("<II", 13, 0)) + element(5, struct.pack("<ii", 6, 1))
    values = element(6, struct.pack("<6I", 0xDD000000, 2, 1, 1, 1, 1))
    body = element(6, struct.pack("<II", 17, 0)) + element(1, name) + element(1, b"MCOS")
    return element(14, body + element(1, b"string") + element(14, dims + element(1, b"") + values))


@pytest.mark.parametrize("name", [b"tf", b"cells", b"cell_lines"])
@pytest.mark.parametrize("compressed", [False, True])
def test_v5_strings_and_tables_beside_the_arrays(tmp_path, name, compressed):
    x = np.random.default_rng(0).integers(0, 2, (9, 4, 5)).astype("u1")
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": x, "cell": np.array([1, "a"], object)}, do_compression=compressed)
    raw = path.read_bytes()
    for content in (raw[:128] + matlab_string(name) + raw[128:], raw + matlab_string(name)):
        path.write_bytes(content)
        with open_mat(path, ["x"]) as (array,):
            np.testing.assert_array_equal(collect(array, 0, 9), reversed_planes(x))
        listing = ", ".join(sorted(["x", "cell", name.decode()]))
        assert refusal(path, "z") == f"no array z; the file holds {listing}"
        assert "class object" in refusal(path, name.decode())


def test_refuses_what_is_no_matlab_file(tmp_path):
    for number, content in enumerate((b"", b"hello", bytes(500))):
        path = tmp_path / f"{number}.mat"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a MATLAB file"), open_mat(path, []):
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
        assert refusal(cut_path, "x")


@pytest.mark.parametrize("kind", ["v5", "v5 compressed", "v7.3"])
def test_damage_never_raises_anything_but_a_value_error(tmp_path, kind):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (9, 4, 5)).astype("u1")
    path = tmp_path / "a.mat"
    if kind == "v7.3":
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=x.T, chunks=(5, 4, 3), compression=1)
    else:
        scipy.io.savemat(path, {"x": x}, do_compression=kind.endswith("compressed"))
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0 if kind == "v7.3" else 124, min(len(whole), 2500), 4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError), open_mat(path, ["x"]) as (array,):
            if len(array.values.shape) > 1:
                collect(array, 0, array.values.shape[-1])
