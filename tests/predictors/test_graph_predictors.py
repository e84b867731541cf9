import numpy as np
import pytest
import torch

from BO_tools.surrogate import graph_batch
from data_generators.random_graphs import random_architecture
from predictors.graph_predictors import ENCODERS, GraphBatch, Predictor
from predictors.predictor_training import PredictorOptions, train_predictor

torch.set_num_threads(1)


def architectures(count):
    rng = np.random.default_rng(0)
    return [random_architecture(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def graphs():
    return graph_batch(architectures(30), torch.device("cpu"))


@pytest.mark.parametrize("name", ENCODERS)
def test_shapes_range_and_gradients(name, graphs):
    predictor = Predictor(name, graphs)
    scores = predictor(graphs)
    assert predictor.embed(graphs).shape == (30, 128)
    assert scores.shape == (30,)
    assert ((scores > 0) & (scores < 1)).all()
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in predictor.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_both_graphs_matter_and_rows_are_independent(name, graphs):
    predictor = Predictor(name, graphs).eval()
    scores = predictor(graphs)
    one = graphs.rows(torch.tensor([3]))
    torch.testing.assert_close(predictor(one)[0], scores[3])
    for field in GraphBatch._fields:
        mixed = graphs._replace(**{field: getattr(graphs, field).roll(1, 0)})
        assert not torch.allclose(predictor(mixed), scores)


def test_gcn_ignores_the_order_of_vertices(graphs):
    predictor = Predictor("gcn", graphs).eval()
    order = torch.cat([torch.randperm(11), torch.tensor([11])])
    permuted = graphs._replace(
        cnn_adjacency=graphs.cnn_adjacency[:, order][:, :, order],
        cnn_operations=graphs.cnn_operations[:, order],
    )
    torch.testing.assert_close(predictor(permuted), predictor(graphs))


def test_gcn_layer_by_hand():
    """Three vertices in a row, the last one global, one kind: sums of what each receives."""
    adjacency = torch.tensor([[[1.0, 0, 0], [1, 1, 0], [1, 1, 1]]])
    operations = torch.tensor([[[1.0], [2], [0]]])
    encoder = ENCODERS["gcn"](3, 1).eval()
    for linear in encoder.linears:
        torch.nn.init.constant_(linear.weight, 1 / linear.in_features)
    scale = (1 + 1e-5) ** -0.5
    # vertex sums per layer: (1, 3, 3), (1, 4, 7), (1, 5, 12), (1, 6, 18)
    expected = torch.full((1, 64), 18 * scale**4)
    torch.testing.assert_close(encoder(adjacency, operations), expected)


@pytest.mark.parametrize("name", ENCODERS)
def test_training_fits_is_seeded_and_leaves_the_global_generator(name, graphs):
    scores = torch.linspace(0.2, 0.8, 30)
    options = PredictorOptions(predictor=name, gcn_epochs=60, gcn_lr=1e-2, loss_num=0)
    before = torch.random.get_rng_state()
    predictor = train_predictor(graphs, scores, options, seed=1)
    again = train_predictor(graphs, scores, options, seed=1)
    other = train_predictor(graphs, scores, options, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not predictor.training
    with torch.no_grad():
        assert torch.equal(predictor(graphs), again(graphs))
        assert not torch.equal(predictor(graphs), other(graphs))
        assert torch.corrcoef(torch.stack([predictor(graphs), scores]))[0, 1] > 0.8


def test_unknown_names_are_refused(graphs):
    with pytest.raises(ValueError, match="--predictor cnn: expected one of gcn, mlp, lstm"):
        Predictor("cnn", graphs)
