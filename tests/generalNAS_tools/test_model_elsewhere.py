"""Loaded models in the hands of others: interpretation by tangermeme, export."""

import numpy as np
import pytest
import torch

from baseline_models.networks import BASELINES
from generalNAS_tools.load_model import load_model
from tests.generalNAS_tools.model_cases import logits, write_model
from tests.generalNAS_tools.networks.by_onednn import by_onednn

NAMES = ["searched", *BASELINES]
SEQ_SIZE = {"searched": 8, "DeepSEA": 163, "DanQ": 38, "NCNet_RR": 38, "NCNet_bRR": 38}
DYNAMIC = ({0: torch.export.Dim("N")},)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def path(name, tmp_path):
    write_model(tmp_path / "m.pth", name, SEQ_SIZE[name])
    return tmp_path / "m.pth"


@pytest.fixture
def x(name):
    bases = torch.randint(4, (3, SEQ_SIZE[name]), generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.one_hot(bases, 4).transpose(1, 2).float().contiguous()


def test_tangermeme_predicts_the_same(path, x):
    predict = pytest.importorskip("tangermeme.predict").predict
    model = load_model(path)
    assert torch.equal(predict(model, x.to(torch.int8), device="cpu"), logits(model, x))


def test_tangermeme_s_mutagenesis_is_that_of_single_passes(path, x):
    tangermeme = pytest.importorskip("tangermeme.saturation_mutagenesis")
    model, x = load_model(path), x[:1]
    found = tangermeme.saturation_mutagenesis(model, x, end=4, raw_outputs=True, device="cpu")
    for position in range(4):
        for base in range(4):
            mutant = x.clone()
            mutant[0, :, position] = torch.eye(4)[base]
            expected = logits(model, mutant)[0]
            torch.testing.assert_close(found.y_hat[0, base, position], expected)


@pytest.mark.filterwarnings("error")
def test_attributions_of_the_plain_form_add_up(path, x):
    tangermeme = pytest.importorskip("tangermeme.deep_lift_shap")
    plain, references = load_model(path, plain=True), x.roll(1, 0)[:, None]
    multipliers = tangermeme.deep_lift_shap(
        plain, x, references=references, raw_outputs=True, device="cpu"
    )
    found = (multipliers[:, 0] * (x - references[:, 0])).sum((1, 2))
    expected = logits(plain, x)[:, 0] - logits(plain, references[:, 0])[:, 0]
    assert expected.abs().min() > 1e-5
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("plain", [False, True])
def test_an_exported_program_takes_any_number_of_sequences(path, x, plain):
    model = load_model(path, plain=plain)
    with by_onednn():
        program = torch.export.export(model, (x[:2],), dynamic_shapes=DYNAMIC).module()
    torch.testing.assert_close(program(x), logits(model, x))
    assert "genomenas" not in program.code, "it runs where this project isn't"


@pytest.mark.parametrize("name", ["DanQ"])  # a searched one: test_using_a_network_page.py
def test_onnx_answers_alike(path, x, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = load_model(path, plain=True, probabilities=True)
    file = tmp_path / "m.onnx"
    torch.onnx.export(model, (x[:2],), file, dynamic_shapes=DYNAMIC, input_names=["x"])
    (found,) = runtime.InferenceSession(file).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(found, logits(model, x), atol=1e-6)


@pytest.mark.parametrize("plain", [False, True])
def test_safetensors_keeps_the_weights(path, x, tmp_path, plain):
    safetensors = pytest.importorskip("safetensors.torch")
    model, other = (load_model(path, plain=plain) for _ in range(2))
    safetensors.save_model(model, tmp_path / "m.safetensors")
    for weight in other.parameters():
        weight.zero_()
    safetensors.load_model(other, tmp_path / "m.safetensors")
    assert torch.equal(logits(other, x), logits(model, x))
