import networkx as nx
import numpy as np
import pytest

from BONAS_search_space.graphs import (
    ArchitectureGraph,
    architecture_key,
    canonical,
    encode,
    is_fully_connected,
    with_global_vertex,
)
from data_generators.random_graphs import random_architecture
from generalNAS_tools.search_space.edge_masks import masks_from_genotype
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype
from tests.BONAS_search_space.decoding import decode
from tests.conformance_data import load_json

PAIRS = load_json("bonas_encoding")
MATRICES = ("adjacency_matrix_cnn", "operations_cnn", "adjacency_matrix_rhn", "operations_rhn")
RNN = [("tanh", 0)] * 8


def genotype_of_pair(pair):
    return parse_genotype(pair["genotype"], source="conformance")


@pytest.mark.parametrize("pair", PAIRS)
def test_conformance(pair):
    graph = ArchitectureGraph(*(np.array(pair[name]) for name in MATRICES))
    genotype = genotype_of_pair(pair)
    assert decode(graph) == genotype
    for drawn, expected in zip(encode(genotype), graph, strict=True):
        np.testing.assert_array_equal(drawn, expected)
    masks = masks_from_genotype(decode(graph))
    np.testing.assert_array_equal(masks.normal, pair["cnn_mask"])
    np.testing.assert_array_equal(masks.reduce, pair["cnn_mask"])
    np.testing.assert_array_equal(masks.rnn, pair["rhn_mask"])
    for cell in ("cnn", "rhn"):
        adjacency, operations = with_global_vertex(
            getattr(graph, f"{cell}_adjacency"), getattr(graph, f"{cell}_operations")
        )
        np.testing.assert_array_equal(adjacency, pair[f"gcn_adj_{cell}"])
        np.testing.assert_array_equal(operations, pair[f"gcn_ops_{cell}"])


def test_decode_inverts_encode_on_10000_random_graphs():
    rng = np.random.default_rng(0)
    for _ in range(10_000):
        genotype = random_architecture(rng)
        graph = encode(genotype)
        assert decode(graph) == genotype


def test_encode_inverts_decode():
    rng = np.random.default_rng(1)
    for _ in range(200):
        graph = encode(random_architecture(rng))
        for again, matrix in zip(encode(decode(graph)), graph, strict=True):
            np.testing.assert_array_equal(again, matrix)


def test_every_changed_bit_of_a_graph_is_another_architecture_or_refused():
    graph = encode(random_architecture(np.random.default_rng(2)))
    genotype = decode(graph)
    for field, matrix in zip(graph._fields, graph, strict=True):
        for index in np.ndindex(matrix.shape):
            changed = matrix.copy()
            changed[index] ^= 1
            with pytest.raises(ValueError, match=r"adjacency|operations|rnn|normal|node"):
                assert decode(graph._replace(**{field: changed})) != genotype


def test_the_order_of_a_nodes_genes_has_no_meaning():
    genotype = genotype_of_pair(PAIRS[0])
    genes = list(genotype.normal)
    genes[2], genes[3] = genes[3], genes[2]
    swapped = Genotype.of(genes, genes, list(genotype.rnn))
    assert swapped != genotype
    assert architecture_key(swapped) == architecture_key(genotype)
    assert canonical(swapped) == canonical(genotype) == canonical(canonical(genotype))
    first, second = (masks_from_genotype(decode(encode(g))) for g in (swapped, genotype))
    np.testing.assert_array_equal(first.normal, second.normal)


def test_equal_keys_mean_equal_masks():
    rng = np.random.default_rng(4)
    keys, masks = set(), set()
    for _ in range(300):
        genotype = random_architecture(rng)
        keys.add(architecture_key(genotype))
        masks.add(
            b"".join(mask.tobytes() for mask in masks_from_genotype(decode(encode(genotype))))
        )
    assert len(keys) == len(masks)


def on_paths_from_inputs_to_output(adjacency):
    graph = nx.from_numpy_array(adjacency, create_using=nx.DiGraph)
    output = len(adjacency) - 1
    fed = {0, 1} | nx.descendants(graph, 0) | nx.descendants(graph, 1)
    return fed == set(graph) and nx.ancestors(graph, output) == set(graph) - {output}


def any_genotype(rng):
    """One whose CNN cell may leave an input unused."""
    states = rng.integers(np.repeat([2, 3, 4, 5], 2))
    cnn = [(("max_pool_5", "skip_connect")[i % 2], int(state)) for i, state in enumerate(states)]
    return Genotype.of(cnn, cnn, [("tanh", int(state)) for state in rng.integers(range(1, 9))])


def test_fully_connected_is_what_graph_search_says():
    rng = np.random.default_rng(5)
    genotypes = [*map(genotype_of_pair, PAIRS), *(any_genotype(rng) for _ in range(200))]
    found = set()
    for genotype in genotypes:
        graph = encode(genotype)
        by_search = all(
            on_paths_from_inputs_to_output(adjacency)
            for adjacency in (graph.cnn_adjacency, graph.rhn_adjacency)
        )
        assert is_fully_connected(genotype) == by_search
        found.add(by_search)
    assert found == {True, False}


def test_an_unused_input_is_not_fully_connected():
    cnn = [("max_pool_5", 0), ("skip_connect", 0), *[("max_pool_5", 0), ("sep_conv_15", 2)] * 3]
    assert not is_fully_connected(Genotype.of(cnn, cnn, RNN))
    cnn[-1] = ("sep_conv_15", 1)
    assert is_fully_connected(Genotype.of(cnn, cnn, RNN))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0: ("conv_15", 0)}, r"normal\[0\] is 'conv_15'; expected one of"),
        ({2: ("max_pool_5", 1), 3: ("max_pool_5", 1)}, "CNN node 1 has .* twice"),
    ],
)
def test_foreign_genotypes_are_refused(changes, message):
    cnn = [("max_pool_5", 0), ("skip_connect", 1)] * 4
    for position, gene in changes.items():
        cnn[position] = gene
    with pytest.raises(ValueError, match=message):
        encode(Genotype.of(cnn, cnn, RNN))


def test_different_cells_are_refused():
    normal, reduce = [("max_pool_5", 0), ("skip_connect", 1)] * 4, [("max_pool_5", 1)] * 8
    with pytest.raises(ValueError, match="normal and reduction cell differ"):
        encode(Genotype.of(normal, reduce, RNN))
