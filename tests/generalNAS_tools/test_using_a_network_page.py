"""The code of docs/using_a_network.md, block after block, on a small network."""

import ast
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.generalNAS_tools.model_cases import TARGETS, logits, write_model

PAGE = Path(__file__).parents[2] / "docs" / "using_a_network.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)


def modules(code):
    """The modules that a block imports."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return [node.module for node in imports]


@pytest.fixture(autouse=True)
def _model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "final"
    folder.mkdir(parents=True)
    write_model(folder / "arch_1.pth", "searched", 8, targets=TARGETS)


def test_a_model_tells_its_sizes_and_targets(capsys):
    exec(BLOCKS[0], {})
    assert capsys.readouterr().out == f"8 3 {tuple(TARGETS)}\n"


def test_the_code_of_the_page_runs(tmp_path):
    for module in [
        "onnxscript",
        "onnxruntime",
        *(module for block in BLOCKS for module in modules(block)),
    ]:
        pytest.importorskip(module)
    names = {}
    for block in BLOCKS:
        exec(block, names)
    assert names["y"].shape == (2, 3)
    assert names["effects"].shape == (1, 4, 8)
    assert names["attributions"].shape == (2, 4, 8)
    assert (tmp_path / "arch_1.safetensors").is_file()
    session = importlib.import_module("onnxruntime").InferenceSession(tmp_path / "arch_1.onnx")
    x = torch.cat([names["batch"]] * 2)  # another number of sequences than exported
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, logits(names["model"], x), atol=1e-5)
