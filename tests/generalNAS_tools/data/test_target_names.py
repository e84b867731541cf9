import pytest

from generalNAS_tools.data.deepsea_data import open_split
from generalNAS_tools.data.target_names import target_names
from tests.toy_bundle import write_toy_bundle


@pytest.fixture
def split(tmp_path):
    return open_split(write_toy_bundle(tmp_path).train, "train")


def lines_of(split):
    return [f"{number}\tname of {number}" for number in range(split.num_targets)]


def test_a_bundle_without_names_has_none(split):
    assert target_names(split) == {}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_are_the_lines_beside_the_data(split, end):
    text = "".join(line + end for line in lines_of(split))
    split.path.with_name("targets.txt").write_bytes(text.encode())
    names = target_names(split)["targets"]
    assert names[:2] == ["0 name of 0", "1 name of 1"]
    assert len(names) == split.num_targets


def test_another_number_of_names_is_refused(split):
    path = split.path.with_name("targets.txt")
    path.write_text("\n".join(lines_of(split)[1:]))
    with pytest.raises(ValueError, match=r"train.mat has \d+ targets, a line each") as error:
        target_names(split)
    assert str(error.value).startswith(f"{path}: {split.num_targets - 1} names; ")


def test_what_is_no_text_is_refused(split):
    split.path.with_name("targets.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"targets.txt: not a text of target names"):
        target_names(split)
