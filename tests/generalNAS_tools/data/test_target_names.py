import pytest

from generalNAS_tools.data.deepsea_data import load_splits, open_split
from generalNAS_tools.data.target_names import target_names
from tests.toy_bundle import write_toy_bundle


@pytest.fixture
def split(tmp_path):
    return open_split(write_toy_bundle(tmp_path).train, "train")


def names_of(split):
    return target_names(split.path, split.num_targets)


def lines_of(split):
    return [f"{number}\tname of {number}" for number in range(split.num_targets)]


def test_a_bundle_without_names_has_none(split):
    assert names_of(split) == {}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_are_the_lines_beside_the_data(split, end):
    text = "".join(line + end for line in lines_of(split))
    split.path.with_name("targets.txt").write_bytes(text.encode())
    names = names_of(split)["targets"]
    assert names[:2] == ["0 name of 0", "1 name of 1"]
    assert len(names) == split.num_targets


def test_another_number_of_names_is_refused(split):
    path = split.path.with_name("targets.txt")
    path.write_text("\n".join(lines_of(split)[1:]))
    with pytest.raises(ValueError, match=r"train.mat has \d+ targets, a line each") as error:
        names_of(split)
    assert str(error.value).startswith(f"{path}: {split.num_targets - 1} names; ")


def test_what_is_no_text_is_refused(split):
    split.path.with_name("targets.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"targets.txt: not a text of target names"):
        names_of(split)


def test_splits_of_other_targets_are_refused(tmp_path):
    """In other folders; beside each other they share the text."""
    first, other = (write_toy_bundle(tmp_path / name) for name in ("one", "two"))
    names = [f"T{number}" for number in range(open_split(first.train, "train").num_targets)]
    for bundle, own in ((first, names), (other, names[::-1])):
        bundle.train.with_name("targets.txt").write_text("\n".join(own))
    assert load_splits(first.train, first.valid)
    with pytest.raises(
        ValueError, match=f"{other.valid}: target 0 is {names[-1]}, but {names[0]} in"
    ):
        load_splits(first.train, other.valid)
    other.valid.with_name("targets.txt").unlink()
    assert load_splits(first.train, other.valid)
