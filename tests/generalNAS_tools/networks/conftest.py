import pytest

from generalNAS_tools.networks.cnn import batched_parts, edge_batches, operations, products


@pytest.fixture(params=["small", "large", "as on a GPU"])
def folding(request, monkeypatch):
    """All forms of a cell: side by side, one primitive after the other, BatchNorms of their own."""
    for module in (batched_parts, edge_batches, operations):
        monkeypatch.setattr(module, "folds", lambda _: request.param != "as on a GPU")
    if request.param != "small":
        monkeypatch.setattr(operations, "_SMALL", 0)
        monkeypatch.setattr(products, "_COLUMNS", 0)
