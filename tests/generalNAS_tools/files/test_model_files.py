import pytest
import torch

from generalNAS_tools.files.checkpoints import load_weights, save_weights
from generalNAS_tools.files.model_files import describe, load_final_model
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

OPTIONS = NetworkOptions(12, 3, 2, 2, 0.25, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network whose statistics have moved, and its file."""
    path = tmp_path_factory.mktemp("model") / "m.pth"
    torch.manual_seed(0)
    network = FinalNetwork(EXAMPLE, OPTIONS, drop_path=0.3)
    network(torch.rand(4, 4, 12))
    weights = {"trained": {"epoch": 1}, "weights": network.state_dict()}
    save_weights(path, {**describe(EXAMPLE, OPTIONS), **weights})
    return network.eval(), path


def test_a_loaded_model_predicts_the_same(model):
    network, path = model
    loaded = load_final_model(path)
    assert (loaded.genotype, loaded.options) == (EXAMPLE, OPTIONS)
    assert (loaded.network.drop_path, loaded.network.training) == (0.0, True)
    x = torch.rand(3, 4, 12)
    with torch.no_grad():
        expected, found = network(x).logits, loaded.network.eval()(x).logits
    assert torch.equal(found, expected)


def test_a_model_from_before_the_head_s_dropout_was_a_flag_is_read(model, tmp_path):
    state = load_weights(model[1])
    del state["options"]["head_dropout"]
    save_weights(tmp_path / "old.pth", state)
    assert load_final_model(tmp_path / "old.pth").options == OPTIONS


def test_the_file_holds_plain_values(model):
    state = load_weights(model[1])
    assert state.keys() == {"genotype", "options", "trained", "weights"}
    assert all(type(value) is torch.Tensor for value in state["weights"].values())


def change_option(name, value):
    return lambda state: state["options"].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("genotype"), "holds options, trained, weights; expected a model"),
        (lambda state: state.update(more=1), "expected a model"),
        (lambda state: state["genotype"].pop("rnn"), "genotype without rnn"),
        (lambda state: state.update(options=None), "network options"),
        (lambda state: state["options"].pop("seq_size"), "network options"),
        (change_option("extra", 1), "network options"),
        (change_option("layers", "2"), "network options"),
        (change_option("layers", 0), "network options"),
        (change_option("layers", 2.0), "network options"),
        (change_option("dropoutx", "x"), "network options"),
        (change_option("dropoutx", 1.0), "network options"),
        (change_option("head_dropout", 1.0), "network options"),
        (change_option("init_channels", 4), "weights don't fit"),
        (change_option("seq_size", 10**15), r"wrong.pth: --layers 2 .* need 27,567,148,208 GiB"),
        (change_option("layers", 10**9), "network options"),
        (lambda state: state.update(weights=[]), "weights don't fit"),
        (lambda state: state["weights"]["network.rhn.W0"].fill_(float("nan")), "weights hold NaN"),
        (
            lambda state: state["weights"]["network.rhn.W0"][0].fill_(float("inf")),
            "NaN or infinity",
        ),
        (lambda state: state["weights"].popitem(), "weights don't fit"),
        (lambda state: state["weights"].update(dict.fromkeys(state["weights"], 1)), "don't fit"),
    ],
)
def test_wrong_content_is_refused(model, tmp_path, change, message):
    state = load_weights(model[1])
    change(state)
    path = tmp_path / "wrong.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match=message) as error:
        load_final_model(path)
    assert str(error.value).startswith(f"{path}: ")
