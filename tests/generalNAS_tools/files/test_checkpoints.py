import collections
import sys

import pytest
import torch

from generalNAS_tools.files.checkpoints import (
    all_finite,
    load_checkpoint,
    load_weights,
    random_states,
    save_weights,
    set_random_states,
)

STATE = {"tensor": torch.arange(500.0), "rows": [{"loss": 0.5, "name": "x", "none": None}]}
PARTS = {"config": {}, "position": {}, "history": [], "partial": None, "objects": {}, "random": {}}


def test_what_is_saved_comes_back(tmp_path):
    save_weights(tmp_path / "a.pt", STATE)
    loaded = load_weights(tmp_path / "a.pt")
    assert torch.equal(loaded["tensor"], STATE["tensor"])
    assert loaded["rows"] == STATE["rows"]
    save_weights(tmp_path / "b.pt", STATE)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_damage_anywhere_is_noticed(tmp_path):
    """Every cut and flipped byte of the contents gives the one error, never wrong numbers."""
    path = tmp_path / "a.pt"
    save_weights(path, STATE)
    whole = path.read_bytes()
    start = whole.index(STATE["tensor"].numpy().tobytes())
    versions = [whole[:cut] for cut in range(0, len(whole), 97)]
    versions += [
        whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :] for i in range(start, start + 2000, 61)
    ]
    for content in versions:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a file of this project, or damaged"):
            load_weights(path)
    for i in range(0, len(whole), 13):  # names and padding, too: never another exception
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :])
        try:
            loaded = load_weights(path)
        except ValueError:
            continue
        assert torch.equal(loaded["tensor"], STATE["tensor"])


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(2), "text"])
def test_other_values_are_no_state(tmp_path, value):
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="not a model or checkpoint"):
        load_weights(tmp_path / "a.pt")


def nested(depth):
    """A list as deep as that, or one that contains itself."""
    inner = outer = []
    for _ in range(depth):
        outer = [outer]
    inner.extend([] if depth else [inner])
    return outer


@pytest.fixture
def _limit():
    """Python's own limit of recursion, which torch's compiler raises."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("_limit")
@pytest.mark.filterwarnings("ignore")  # torch calls some of these kinds unfinished, some old
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.eye(2).to_sparse_csr(),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        lambda: torch.ones(2).to(torch.float8_e4m3fn),
        lambda: torch.empty(2, device="meta"),
        lambda: nested(450),
        lambda: nested(0),
    ],
    ids=["sparse", "CSR", "qint8", "float8", "meta", "deep", "endless"],
)
def test_what_cannot_be_checked_is_refused(tmp_path, make):
    path = tmp_path / "a.pt"
    torch.save({"weights": {"a": make()}}, path)
    with pytest.raises(ValueError, match=f"{path}: not a file of this project, or damaged"):
        load_weights(path)


def test_objects_are_not_built(tmp_path):
    torch.save({"a": collections.Counter("x"), "b": pytest.approx(1)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="damaged"):
        load_weights(tmp_path / "a.pt")
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ValueError, match="no such file"):
            load_weights(path)


@pytest.mark.parametrize("name", PARTS)
def test_a_checkpoint_has_all_its_parts(tmp_path, name):
    path = tmp_path / "a.pt"
    torch.save(PARTS, path)
    assert load_checkpoint(path) == PARTS
    for wrong in ({k: v for k, v in PARTS.items() if k != name}, {**PARTS, name: 3}):
        torch.save(wrong, path)
        with pytest.raises(ValueError, match=f"without {name}"):
            load_checkpoint(path)


def test_random_states_go_back():
    cpu = torch.device("cpu")
    states = random_states(cpu)
    first = torch.rand(5)
    set_random_states(states, cpu)
    assert torch.equal(torch.rand(5), first)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"a": [torch.ones(2), {"b": (torch.zeros(1), 3, "x", None)}]}, True),
        ({"a": [torch.ones(2), {"b": (torch.tensor([0.0, float("inf")]),)}]}, False),
        (torch.tensor(float("nan")), False),
        ({"count": torch.tensor(3)}, True),
        ({}, True),
    ],
)
def test_all_finite(state, expected):
    assert all_finite(state) is expected
