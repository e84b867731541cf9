"""Files of the 2021 system, and pickles made to do harm."""

import collections
import os
import pickle
import resource
import struct
import subprocess
import sys
import types

import numpy as np
import pytest

from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.search_space.genotypes import Genotype
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

FIELDS = Genotype._fields


@pytest.fixture(params=["generalNAS_tools.search_space.genotypes", "genotypes", "__main__"])
def old_genotype(request, monkeypatch):
    """EXAMPLE as the 2021 system built it: its own named tuple, lists and ranges."""
    kind = collections.namedtuple("Genotype", FIELDS)
    kind.__module__ = request.param
    module = types.ModuleType(request.param)
    module.Genotype = kind
    monkeypatch.setitem(sys.modules, request.param, module)
    return kind(
        list(EXAMPLE.normal),
        range(2, 6),
        list(EXAMPLE.reduce),
        range(2, 6),
        list(EXAMPLE.rnn),
        range(1, 9),
    )


def save_array(path, array, protocol):
    """What np.save writes for an object array, with the given pickle protocol."""
    np.save(path, array, allow_pickle=True)
    raw = path.read_bytes()
    header = 10 + struct.unpack("<H", raw[8:10])[0]
    path.write_bytes(raw[:header] + pickle.dumps(array, protocol=protocol))


def zero_d(value):
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def six(value):
    array = np.empty(6, dtype=object)
    array[:] = list(value)
    return array


PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])


@PROTOCOLS
@pytest.mark.parametrize("wrap", [zero_d, six])
def test_object_arrays(tmp_path, old_genotype, protocol, wrap):
    path = tmp_path / "old.npy"
    save_array(path, wrap(old_genotype), protocol)
    assert read_genotype(path) == EXAMPLE


@PROTOCOLS
def test_bare_pickles(tmp_path, old_genotype, protocol):
    path = tmp_path / "old.npy"
    path.write_bytes(pickle.dumps(old_genotype, protocol=protocol))
    assert read_genotype(path) == EXAMPLE


def with_scalars(kind):
    genes = [
        [(np.str_(name), kind(state)) for name, state in field]
        for field in (EXAMPLE.normal, EXAMPLE.reduce, EXAMPLE.rnn)
    ]
    return [genes[0], range(2, 6), genes[1], [kind(i) for i in range(2, 6)], genes[2], range(1, 9)]


@PROTOCOLS
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numpy_scalars_inside(tmp_path, protocol, kind):
    path = tmp_path / "old.npy"
    save_array(path, six(with_scalars(kind)), protocol)
    assert read_genotype(path) == EXAMPLE


@PROTOCOLS
def test_the_other_numpy_s_module_names(tmp_path, protocol):
    """Numpy 1 writes numpy.core, numpy 2 numpy._core; both are read under either."""
    path = tmp_path / "old.npy"
    save_array(path, six(with_scalars(np.int64)), protocol)
    raw = path.read_bytes()
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    source, target = (new, old) if new in raw else (old, new)
    assert source in raw
    if protocol >= 4:  # the name's length stands before it, the frame's at the start
        source, target = (bytes([len(name)]) + name for name in (source, target))
        frame = raw.index(b"\x95", raw.index(b"\x80"))
        size = struct.unpack("<Q", raw[frame + 1 : frame + 9])[0]
        size += raw.count(source) * (len(target) - len(source))
        raw = raw[: frame + 1] + struct.pack("<Q", size) + raw[frame + 9 :]
    path.write_bytes(raw.replace(source, target))
    assert read_genotype(path) == EXAMPLE


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def global_call(module, name, *arguments):
    """A protocol 2 pickle that calls module.name(*arguments)."""
    body = b"".join(pickle.dumps(a, protocol=2)[2:-1] for a in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + body + b"tR."


def attacks(marker):
    shell = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w')"
    fields = [EXAMPLE[0], [2, 3, 4, 5], EXAMPLE[2], [2, 3, 4, 5], EXAMPLE[4], list(range(1, 9))]
    return {
        "os.system": pickle.dumps(Call(os.system, shell)),
        "posix.system": global_call("posix", "system", shell),
        "eval": pickle.dumps(Call(eval, code)),
        "old eval": global_call("__builtin__", "eval", code),
        "getattr": global_call("builtins", "getattr", code, "x"),
        "inside a list": pickle.dumps([1, [Call(os.system, shell)]]),
        "array": pickle.dumps(zero_d(Call(os.system, shell))),
        "subprocess": pickle.dumps(Call(subprocess.run, shell)),
        "numpy runner": global_call("numpy.testing._private.utils", "runstring", code, {}),
        "numpy load": global_call("numpy", "load", str(marker), None, True),
        "dotted numpy": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.tofile\x93.",
        "numpy's os": global_call("numpy.os", "system", shell),
        "a module like numpy": global_call("numpy_evil", "scalar", shell),
        "Genotype in os": global_call("os", "Genotype", *fields),
        "Genotype in builtins": global_call("builtins", "Genotype", *fields),
        "dotted Genotype": b"\x80\x04\x8c\x09genotypes\x8c\x11Genotype.__init__\x93.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Psomething\n.",
        "codec": global_call("_codecs", "encode", "x", "zlib"),
        "instance": b"(Vtouch\nios\nsystem\n.",
    }


def as_array_file(content):
    np_header = np.lib.format.magic(1, 0)
    text = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    return np_header + struct.pack("<H", len(text)) + text + content


@pytest.mark.parametrize("in_array", [False, True])
@pytest.mark.parametrize("attack", attacks(""))
def test_nothing_runs(tmp_path, attack, in_array):
    marker = tmp_path / "marker"
    content = attacks(marker)[attack]
    path = tmp_path / "evil.npy"
    path.write_bytes(as_array_file(content) if in_array else content)
    with pytest.raises(ValueError, match=r"evil\.npy: not a genotype file") as caught:
        read_genotype(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_the_attacks_are_real(tmp_path):
    """The same bytes do run under the ordinary reader."""
    marker = tmp_path / "marker"
    pickle.loads(attacks(marker)["os.system"])
    assert marker.exists()


def bomb():
    """Forty lists, each holding the one before it twice: 2^40 values."""
    nested = []
    for _ in range(40):
        nested = [nested, nested]
    return pickle.dumps(nested, protocol=2)


def recursive():
    endless = []
    endless.append(endless)
    return pickle.dumps(endless, protocol=2)


SEALED = b"\x80\x02cgenotypes\nGenotype\nN}(X\x07\x00\x00\x00__new__K\x01u\x86b."


@pytest.mark.parametrize(
    "content",
    [
        bomb(),
        recursive(),
        global_call("builtins", "range", 0, 10**9),
        global_call("builtins", "range", 0, 10, 0),
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"Np999999999\n.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00N.",
        b"L" + b"9" * 100_000 + b"L\n.",
        SEALED,
        pickle.dumps(zero_d(np.zeros(4))),
        pickle.dumps(np.float64(1)),
        pickle.dumps(EXAMPLE, protocol=4)[:-20],
    ],
)
def test_bombs_and_damage_are_refused_in_little_memory(tmp_path, content):
    path = tmp_path / "bomb.npy"
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"bomb\.npy: not a genotype file") as caught:
        read_genotype(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert "\n" not in str(caught.value)


def test_a_refused_pickle_leaves_the_reader_as_it_was(tmp_path, old_genotype):
    path = tmp_path / "old.npy"
    path.write_bytes(SEALED)
    with pytest.raises(ValueError, match="not a genotype file"):
        read_genotype(path)
    path.write_bytes(pickle.dumps(old_genotype))
    assert read_genotype(path) == EXAMPLE


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        {"normal": []},
        list(EXAMPLE)[:5],
        [*EXAMPLE[:4], [("tanh", 1)] * 8, EXAMPLE[5]],
        [[("none", 0)] * 8, *EXAMPLE[1:]],
        "sixcha",
        None,
    ],
)
def test_wrong_genotypes_are_refused(tmp_path, value):
    path = tmp_path / "old.npy"
    save_array(path, zero_d(value), 3)
    with pytest.raises(ValueError, match=r"old\.npy: .*(genotype|rnn\[0\]|normal\[0\])"):
        read_genotype(path)


def test_truncated_old_files_are_refused(tmp_path):
    path = tmp_path / "cut.npy"
    save_array(path, six(with_scalars(np.int64)), 3)
    whole = path.read_bytes()
    for size in range(0, len(whole), 61):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.npy: "):
            read_genotype(path)


def test_a_pickle_cannot_change_the_reader(tmp_path, old_genotype):
    """The kind of SEALED for every name that the reader admits."""
    path = tmp_path / "old.npy"
    names = [("genotypes", "Genotype"), ("numpy", "dtype"), ("builtins", "range")]
    for module, name in [*names, ("_codecs", "encode")]:
        for attribute in (b"__new__", b"__setstate__", b"arguments", b"state"):
            size = struct.pack("<I", len(attribute))
            state = b"N}(X" + size + attribute + b"K\x01u\x86b."
            path.write_bytes(f"c{module}\n{name}\n".encode() + state)
            with pytest.raises(ValueError, match="not a genotype file"):
                read_genotype(path)
    path.write_bytes(pickle.dumps(old_genotype))
    assert read_genotype(path) == EXAMPLE


def test_deep_nesting_is_refused(tmp_path):
    path = tmp_path / "deep.npy"
    path.write_bytes(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    with pytest.raises(ValueError, match=r"deep\.npy: not a genotype file"):
        read_genotype(path)


@pytest.mark.parametrize(
    "content",
    [
        b"cgenotypes\nGenotype\n.",
        b"cgenotypes\nGenotype\n)\x81.",
        b"}X\x06\x00\x00\x00normalcgenotypes\nGenotype\ns.",
        b"\x80\x02}("
        + b"".join(
            b"X" + struct.pack("<I", len(name)) + name.encode() + b"cnumpy\ndtype\n)R"
            for name in FIELDS
        )
        + b"u.",
        b"cnumpy\ndtype\n)R.",
        b"cnumpy\ndtype\n)Rcnumpy\ndtype\n)Rb.",
        b"c_codecs\nencode\n)R.",
        pickle.dumps({1, 2}),
        pickle.dumps(bytearray(9)),
    ],
)
def test_a_stand_in_is_no_genotype(tmp_path, content):
    path = tmp_path / "odd.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.npy: ") as caught:
        read_genotype(path)
    assert "\n" not in str(caught.value)
