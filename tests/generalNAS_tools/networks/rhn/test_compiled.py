import shutil

import pytest
import torch

from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.networks.rhn.kernels import RHNInputs
from generalNAS_tools.networks.rhn.norm import Norm
from generalNAS_tools.networks.rhn.plan import Edge
from tests.generalNAS_tools.networks.rhn.compiling import compiling
from tests.generalNAS_tools.networks.rhn.test_rhn import FULL, B, H, T, results, set_weights

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs a C++ compiler",
)
EDGES = ((Edge(0, 0), Edge(1, 1)), (Edge(1, 2),))
"""A cell of two nodes; a whole one would take minutes to compile."""


def passes(dtype):
    """Output and all gradients of one pass through the small cell."""
    torch.manual_seed(0)
    size, batch = 16, 6
    tensors = [torch.rand(3, 4), torch.randn(T, batch, 2 * size), torch.randn(batch, size)]
    tensors += [torch.randn(size, 2 * size) / 4 for _ in range(3)]
    mixing, pre, hidden, *w = [tensor.requires_grad_() for tensor in tensors]
    pre, w0, *more = [tensor.to(dtype) for tensor in (pre, *w)]
    norm = Norm(torch.zeros(size), torch.ones(size), 0.1, 0, True)
    mask = (torch.rand(batch, size) < 0.8) / 0.8
    output = compiled.run(EDGES, RHNInputs((), norm, mask, mixing, pre, hidden, w0, tuple(more)))
    grads = torch.autograd.grad(output.square().sum(), tensors)
    return [output.detach(), norm.mean, norm.var, *grads]


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_steps_equal_the_uncompiled_and_themselves(dtype, monkeypatch):
    with compiling():
        first, second = passes(dtype), passes(dtype)
    with compiling(), monkeypatch.context() as patch:
        patch.setattr(compiled, "_piece", lambda function, examples: function)
        expected = passes(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
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
