import pytest

from generalNAS_tools.networks.cnn import batched_parts, edge_batches


@pytest.fixture(params=[True, False], ids=["folded", "as on a GPU"])
def folding(request, monkeypatch):
    """Both forms of a cell's BatchNorms, whatever the device."""
    for module in (batched_parts, edge_batches):
        monkeypatch.setattr(module, "folds", lambda _: request.param)
