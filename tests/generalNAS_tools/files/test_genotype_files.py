import json

import numpy as np
import pytest
from hypothesis import given, settings

from generalNAS_tools.files.genotype_files import MAX_GENOTYPE_BYTES, read_genotype, write_genotype
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype
from tests.conformance_data import load_json
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE, genotypes


def changed(**fields):
    return json.loads(EXAMPLE.to_json()) | fields


@settings(max_examples=50, deadline=None)
@given(genotypes())
def test_written_genotypes_are_read_back(tmp_path_factory, genotype):
    path = tmp_path_factory.mktemp("genotype") / "darts_geno-x.npy"
    write_genotype(path, genotype)
    assert read_genotype(path) == genotype
    array = np.load(path, allow_pickle=False)
    assert array.shape == ()
    assert array.dtype.kind == "U"
    assert json.loads(str(array)).keys() == set(Genotype._fields)


@pytest.mark.parametrize("case", load_json("mask_to_genotype")[:3])
def test_the_json_form_is_canonical(case):
    genotype = parse_genotype(case["genotype"], source="conformance")
    again = parse_genotype(json.loads(genotype.to_json()), source="json")
    assert again == genotype
    assert again.to_json() == genotype.to_json()
    assert hash(again) == hash(genotype)
    assert json.loads(genotype.to_json()) == case["genotype"]


def test_of_sets_the_concatenations():
    assert EXAMPLE.normal_concat == EXAMPLE.reduce_concat == (2, 3, 4, 5)
    assert EXAMPLE.rnn_concat == tuple(range(1, 9))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (changed(normal=[["sep_conv_5", 0]] * 8), r"normal\[0\] is 'sep_conv_5'; expected one of"),
        (changed(normal=[["none", 0]] * 8), r"normal\[0\] is 'none'"),
        (changed(rnn=[["conv_15", 0]] * 8), r"rnn\[0\] is 'conv_15'"),
        (changed(reduce=[["tanh", 0]] * 8), r"reduce\[0\] is 'tanh'"),
        (changed(reduce=[["conv_15", 2]] * 8), r"reduce\[0\] takes state 2; expected 0..1"),
        (changed(rnn=[["tanh", 1]] * 8), r"rnn\[0\] takes state 1; expected 0..0"),
        (changed(rnn=[["tanh", -1]] * 8), r"rnn\[0\] takes state -1"),
        (changed(rnn=[["tanh", True]] * 8), r"rnn\[0\] takes state True"),
        (changed(rnn=[["tanh", 0.0]] * 8), r"rnn\[0\] takes state 0.0"),
        (changed(rnn=[["tanh", "0"]] * 8), r"rnn\[0\] takes state '0'"),
        (changed(normal=[["conv_15", 0]] * 7), r"normal must list 8 pairs"),
        (changed(rnn=[["tanh", 0]] * 9), r"rnn must list 8 pairs"),
        (changed(rnn="tanh 0.."), r"rnn must list 8 pairs"),
        (changed(rnn=[["tanh", 0, 0]] * 8), r"rnn\[0\] is not a pair"),
        (changed(rnn=["tanh"] * 8), r"rnn\[0\] is not a pair"),
        (changed(normal_concat=[1, 2, 3, 4]), r"normal_concat is \[1, 2, 3, 4\]; expected \[2, 3"),
        (changed(rnn_concat=5), r"rnn_concat is 5"),
        ({"normal": []}, "genotype without normal_concat, reduce"),
        ([[]] * 5, "expected a genotype of 6 fields"),
        (None, "expected a genotype of 6 fields"),
        ("sixcha", "expected a genotype of 6 fields"),
        (changed(normal=[["x" * 10_000, 0]] * 8), r"normal\[0\]"),
        (changed(normal_concat=[7] * 10_000), r"normal_concat is \[7"),
    ],
)
def test_wrong_genotypes_are_refused_with_one_short_line(tmp_path, value, message):
    path = tmp_path / "wrong.npy"
    np.save(path, np.array(json.dumps(value)))
    with pytest.raises(ValueError, match=message) as caught:
        read_genotype(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) < 400 + len(str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("before", ["", " \r\n"])
def test_json_text_as_editors_write_it(tmp_path, encoding, before):
    path = tmp_path / "edited.json"
    path.write_bytes((before + json.dumps(changed(), indent=2) + "\n").encode(encoding))
    assert read_genotype(path) == EXAMPLE
    path.write_bytes(json.dumps(changed(rnn=[["tanh", 1]] * 8)).encode(encoding))
    with pytest.raises(ValueError, match=r"edited\.json: rnn\[0\] takes state 1"):
        read_genotype(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"edited\.json: genotype without"):
        read_genotype(path)


def test_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"no\.npy: no such file"):
        read_genotype(tmp_path / "no.npy")
    with pytest.raises(ValueError, match="no such file"):
        read_genotype(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x09" + b"x" * 90,
        b"not a genotype",
        b"{",
        b"[1, 2",
        b"\xff\xfe{",
        b"\x00" * 1000,
        b"[" * 100_000,
        b"PK\x03\x04" + b"\x00" * 100,
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npy: not a genotype file") as caught:
        read_genotype(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.array(["a", "b"]),
        np.array("no json"),
        np.array("[" * 100_000),
        np.array("9" * 10_000),
        np.array(b"{}"),
        np.array(np.nan),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "other.npy", array)
    with pytest.raises(ValueError, match=r"other\.npy: not a genotype file"):
        read_genotype(tmp_path / "other.npy")


def test_truncated_files_are_refused(tmp_path):
    path = tmp_path / "cut.npy"
    write_genotype(path, EXAMPLE)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.npy: not a genotype file"):
            read_genotype(path)


def test_huge_files_are_not_even_read(tmp_path):
    path = tmp_path / "huge.npy"
    with path.open("wb") as file:
        file.truncate(MAX_GENOTYPE_BYTES + 1)
    with pytest.raises(ValueError, match="1048577 bytes is too large for a genotype"):
        read_genotype(path)


def test_a_header_that_promises_too_much(tmp_path):
    path = tmp_path / "promise.npy"
    np.save(path, np.array("x" * 100))
    path.write_bytes(
        path.read_bytes().replace(b"<U100'", b"<U999999999'").replace(b" " * 6 + b"\n", b"\n")
    )
    with pytest.raises(ValueError, match=r"promise\.npy: not a genotype file"):
        read_genotype(path)
