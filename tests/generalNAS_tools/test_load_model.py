"""Loaded models: the field's channels, what they answer, and files that are refused."""

import pytest
import torch

from baseline_models.networks import BASELINES, build_baseline
from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.files.model_files import describe
from generalNAS_tools.load_model import load_model
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

SEQ_SIZE, TARGETS = 170, ["one", "two", "three"]


def one_hot(text, order):
    """(1, 4, L)."""
    return torch.tensor([[[float(base == letter) for base in text] for letter in order]])


def searched():
    """A searched network whose statistics have moved, and what its file says of it."""
    options = NetworkOptions(SEQ_SIZE, len(TARGETS), 2, 3)
    network = FinalNetwork(EXAMPLE, options)
    with torch.no_grad():
        network(torch.rand(4, 4, SEQ_SIZE))
    return network.eval(), describe(EXAMPLE, options)


def baseline(name):
    size = {"seq_size": SEQ_SIZE, "num_targets": len(TARGETS)}
    return build_baseline(name, **size).eval(), {"baseline": name, **size}


def write(path, network, description, **more):
    save_weights(path, {**description, "trained": {}, "weights": network.state_dict(), **more})
    return path


@pytest.fixture(scope="module", params=["searched", "DeepSEA", "DanQ"])
def case(request, tmp_path_factory):
    torch.manual_seed(0)
    network, description = searched() if request.param == "searched" else baseline(request.param)
    path = tmp_path_factory.mktemp("model") / "arch.pth"
    return network, write(path, network, description, targets=TARGETS)


def logits(network, x):
    with torch.no_grad():
        output = network(x)
    return output if isinstance(output, torch.Tensor) else output.logits


def test_channels_are_those_of_the_field(case):
    network, path = case
    text = "ACGTTGCANNACGGGTTACA" * 8 + "ACGTACGTAC"
    model = load_model(path)
    assert not model.training
    assert torch.equal(logits(model, one_hot(text, "ACGT")), logits(network, one_hot(text, "AGCT")))


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
    network, description = baseline(name)
    model = load_model(write(tmp_path / "m.pth", network, description))
    assert type(model.network) is type(network)
    assert model.targets is None


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
    path = write(tmp_path / "wrong.pth", *baseline("DeepSEA"))
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
