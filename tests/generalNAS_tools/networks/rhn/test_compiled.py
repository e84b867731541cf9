import shutil
from typing import NamedTuple

import pytest
import torch

from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.networks.rhn.kernels import RHNInputs
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import RELU, SIGMOID, Edge
from tests.generalNAS_tools.networks.by_onednn import by_onednn
from tests.generalNAS_tools.networks.rhn.compiling import compiling
from tests.generalNAS_tools.networks.rhn.test_rhn import FULL, B, H, T, results, set_weights

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs a C++ compiler",
)
EDGES = ((Edge(0, 0), Edge(1, 1)), (Edge(1, 2),))
"""A cell of two nodes; a whole one would take minutes to compile."""
FINAL_EDGES = ((Edge(0, activation=RELU),), (Edge(1, activation=SIGMOID),))


class Case(NamedTuple):
    """A pass; `norm`, what normalises the supernet's states, is None for a final network."""

    dtype: torch.dtype = torch.float32
    steps: int = T
    batch: int = 6
    masked: bool = True
    norm: str | None = "batch"
    onednn: bool = False


CASES = [
    Case(),
    Case(torch.bfloat16),
    Case(norm=None, onednn=True),
    *(
        pytest.param(case, marks=pytest.mark.long)
        for case in [Case(steps=1, batch=7, masked=False), Case(norm="running"), Case(norm=None)]
    ),
]


def passes(case):
    """Output and all gradients of one pass through the small cell."""
    torch.manual_seed(0)
    size, batch = 16, case.batch
    tensors = [torch.randn(case.steps, batch, 2 * size), torch.randn(batch, size)]
    tensors += [torch.randn(size, 2 * size) / 4 for _ in range(3)]
    mixing = torch.rand(3, 4, requires_grad=True)
    pre, hidden, *w = [tensor.requires_grad_() for tensor in tensors]
    pre, w0, *more = [tensor.to(case.dtype) for tensor in (pre, *w)]
    norm = Norm(torch.rand(size), torch.rand(size) + 0.5, 0.1, 0, case.norm == "batch")
    mask = (torch.rand(batch, size) < 0.8) / 0.8 if case.masked else None
    rest = (pre, hidden, w0, tuple(more))
    if case.norm is None:
        output = compiled.run(FINAL_EDGES, RHNInputs((), None, mask, None, *rest))
    else:
        output = compiled.run(EDGES, RHNInputs((), norm, mask, mixing, *rest))
        tensors.append(mixing)
    grads = torch.autograd.grad(output.square().sum(), tensors)
    return [output.detach(), norm.mean, norm.var, *grads]


@needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_compiled_steps_equal_the_uncompiled_and_themselves(case, monkeypatch):
    with compiling(), by_onednn(case.onednn):
        first, second = passes(case), passes(case)
    with compiling(), monkeypatch.context() as patch:
        patch.setattr(compiled, "_piece", lambda function, examples: function)
        expected = passes(case)
    tolerance = 1e-5 if case.dtype == torch.float32 else 2e-2
    for a, b, c in zip(first, second, expected, strict=True):
        assert torch.equal(a, b)
        assert (a - c).norm() <= tolerance * c.norm()


def test_where_nothing_compiles_the_kernels_run_after_one_line(monkeypatch, caplog):
    def fail(function, examples):
        raise RuntimeError("no compiler\nhere is why")

    monkeypatch.setattr(compiled, "_piece", fail)
    cell = set_weights(SearchRHN(H, FULL, dropouth=0.3))
    x, mixing = torch.randn(T, B, H), torch.rand(36, 5)
    expected = results(cell, x, mixing)
    compiled.use(True)
    for _ in range(2):
        for a, b in zip(results(cell, x, mixing), expected, strict=True):
            assert torch.equal(a, b)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["--compile: left out, torch can't compile here (no compiler)"]
    assert not compiled.in_use()
    compiled._compiled.cache_clear()
