"""Loaded models: the field's channels, what they answer, and files that are refused."""

import pytest
import torch

from baseline_models.networks import BASELINES
from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.load_model import load_model
from generalNAS_tools.networks.rhn.cells import VariationalDropout
from tests.generalNAS_tools.model_cases import TARGETS, logits, write_model

SEQ_SIZE = 170


def one_hot(text, order):
    """(1, 4, L)."""
    return torch.tensor([[[float(base == letter) for base in text] for letter in order]])


@pytest.fixture(scope="module", params=["searched", "DeepSEA", "DanQ"])
def case(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "arch.pth"
    return write_model(path, request.param, SEQ_SIZE, targets=TARGETS), path


def test_channels_are_those_of_the_field(case):
    network, path = case
    text = "ACGTTGCANNACGGGTTACA" * 8 + "ACGTACGTAC"
    model = load_model(path)
    assert not model.training
    found, expected = logits(model, one_hot(text, "ACGT")), logits(network, one_hot(text, "AGCT"))
    torch.testing.assert_close(found, expected)


def test_probabilities_are_the_sigmoid(case):
    x = torch.rand(2, 4, SEQ_SIZE)
    expected = logits(load_model(case[1]), x).sigmoid()
    assert torch.equal(logits(load_model(case[1], probabilities=True), x), expected)


def test_names_and_sizes_are_kept(case):
    model = load_model(case[1])
    assert (model.seq_size, model.num_targets) == (SEQ_SIZE, 3)
    assert model.targets == tuple(TARGETS)


def test_gradients_reach_the_input(case):
    x = torch.rand(2, 4, SEQ_SIZE, requires_grad=True)
    load_model(case[1])(x).sum().backward()
    assert (x.grad != 0).any(2).all()


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_read(name, tmp_path):
    network = write_model(tmp_path / "m.pth", name, SEQ_SIZE)
    model = load_model(tmp_path / "m.pth")
    assert type(model.network) is type(network)
    assert model.targets is None


@pytest.mark.parametrize("name", ["searched", *BASELINES])
def test_the_plain_form_gives_the_same_from_modules(name, tmp_path):
    write_model(tmp_path / "m.pth", name, SEQ_SIZE)
    model, plain = (load_model(tmp_path / "m.pth", plain=plain) for plain in (False, True))
    x = torch.rand(3, 4, SEQ_SIZE)
    torch.testing.assert_close(logits(plain, x), logits(model, x), rtol=1e-5, atol=1e-5)
    leaves = {type(part) for part in plain.modules() if not list(part.children())}
    ours = {kind for kind in leaves if not kind.__module__.startswith("torch.nn.")}
    assert ours <= {VariationalDropout}  # which does nothing in evaluation


def test_weights_are_frozen(case):
    assert not any(weight.requires_grad for weight in load_model(case[1]).parameters())


@pytest.mark.parametrize("shape", [(4, SEQ_SIZE), (2, SEQ_SIZE, 4), (2, 4, SEQ_SIZE - 1)])
def test_another_shape_is_refused(case, shape):
    with pytest.raises(ValueError, match=r"x has shape \(.*\); expected \(N, 4, 170\)"):
        load_model(case[1])(torch.rand(shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "DeepSEA2"}, "weights don't fit"),
        ({"baseline": ["DeepSEA"]}, "weights don't fit"),
        ({"baseline": "NCNet_RR"}, "weights don't fit"),
        ({"seq_size": 20}, "weights don't fit"),
        ({"seq_size": 10**7}, "weights don't fit"),
        ({"seq_size": None}, "weights don't fit"),
        ({"seq_size": 170.0}, "weights don't fit"),
        ({"num_targets": 4}, "weights don't fit"),
        ({"num_targets": "3"}, "weights don't fit"),
        ({"weights": None}, "weights don't fit"),
        ({"targets": "abc"}, "target names aren't 3 texts"),
        ({"targets": ["a", "b"]}, "target names aren't 3 texts"),
        ({"targets": ["a", "b", 3]}, "target names aren't 3 texts"),
    ],
)
def test_a_wrong_baseline_is_refused(tmp_path, change, message):
    path = tmp_path / "wrong.pth"
    write_model(path, "DeepSEA", SEQ_SIZE)
    save_weights(path, load_weights(path) | change)
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"not a model", "not a file of this project, or damaged"),
        ({"config": {}}, "holds config; expected a model"),
    ],
)
def test_another_file_is_refused(tmp_path, content, message):
    path = tmp_path / "wrong.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_weights(path, content)
    with pytest.raises(ValueError, match=message):
        load_model(path)


def test_another_device_is_refused(case):
    with pytest.raises(ValueError, match="--device tpu"):
        load_model(case[1], device="tpu")
