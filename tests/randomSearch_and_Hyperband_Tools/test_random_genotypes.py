from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from generalNAS_tools.search_space.edge_masks import genotype_from_masks, masks_from_genotype
from generalNAS_tools.search_space.genotypes import (
    CNN_PRIMITIVES,
    RHN_PRIMITIVES,
    Genotype,
    parse_genotype,
)
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes, random_genotype

SAMPLES = 20_000
UNLIKELY = 1e-5
"""Some 60 p-values are looked at; a right sampler has one below this in 1 of 1,600 seeds."""
FIELDS = ("normal", "reduce", "rnn")


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    return [random_genotype(rng) for _ in range(SAMPLES)]


def uniform(values, space):
    """p-value of `values` being uniform over `space`; 0 when one lies outside of it."""
    counts = Counter(values)
    if set(counts) - set(space):
        return 0.0
    return chisquare([counts[value] for value in space]).pvalue


def names(field):
    return (RHN_PRIMITIVES if field == "rnn" else CNN_PRIMITIVES)[1:]


def state_choices(field, node):
    """What a node can take: every pair of earlier states, or in the RHN every earlier state."""
    if field == "rnn":
        return [(j,) for j in range(node + 1)]
    return list(combinations(range(node + 2), 2))


def states_of(genotype, field, node):
    per_node = 1 if field == "rnn" else 2
    genes = getattr(genotype, field)[per_node * node : per_node * (node + 1)]
    return tuple(state for _, state in genes)


def worst_p_value(samples):
    """The smallest p-value over the states of all nodes and the primitives of all edges."""
    p_values = []
    for field in FIELDS:
        for node in range(8 if field == "rnn" else 4):
            drawn = [states_of(sample, field, node) for sample in samples]
            p_values.append(uniform(drawn, state_choices(field, node)))
        for position in range(8):
            drawn = [getattr(sample, field)[position][0] for sample in samples]
            p_values.append(uniform(drawn, names(field)))
    return np.nanmin(p_values)  # nan: a node without a choice


def test_all_samples_are_valid(samples):
    for sample in samples[:2000]:
        assert parse_genotype(sample, source="sample") == sample
        assert genotype_from_masks(masks_from_genotype(sample)) == sample


def test_node_0_takes_both_inputs(samples):
    for field in ("normal", "reduce"):
        assert {states_of(sample, field, 0) for sample in samples} == {(0, 1)}
    assert {states_of(sample, "rnn", 0) for sample in samples} == {(0,)}


def test_states_and_primitives_are_uniform(samples):
    assert worst_p_value(samples) > UNLIKELY


def test_a_whole_node_is_uniform(samples):
    space = [
        ((a, i), (b, j))
        for i, j in combinations(range(3), 2)
        for a, b in product(names("normal"), repeat=2)
    ]
    genes = [sample.normal[2:4] for sample in samples]
    assert uniform(genes, space) > UNLIKELY


@pytest.mark.parametrize(
    ("first", "second"),
    [(("normal", 0), ("normal", 1)), (("normal", 7), ("reduce", 7)), (("reduce", 0), ("rnn", 0))],
)
def test_edges_are_independent(samples, first, second):
    table = np.zeros((len(names(first[0])), len(names(second[0]))))
    for sample in samples:
        row, column = (getattr(sample, field)[position][0] for field, position in (first, second))
        table[names(first[0]).index(row), names(second[0]).index(column)] += 1
    assert chi2_contingency(table).pvalue > UNLIKELY


def with_biased_primitive(sample, rng):
    """Draws the last primitive of one edge 1.3 times as often as the others."""
    genes = list(sample.reduce)
    if rng.random() < 0.3 / 8.3:
        genes[5] = ("conv_15", genes[5][1])
    return sample._replace(reduce=tuple(genes))


def with_biased_states(sample, rng):
    """Draws the first state of a node, then the second one among the later states."""
    genes = list(sample.normal)
    first = int(rng.integers(4))
    second = int(rng.integers(first + 1, 5))
    genes[6], genes[7] = (genes[6][0], first), (genes[7][0], second)
    return sample._replace(normal=tuple(genes))


@pytest.mark.parametrize("bias", [with_biased_primitive, with_biased_states])
def test_a_biased_sampler_is_found(samples, bias):
    rng = np.random.default_rng(2)
    assert worst_p_value([bias(sample, rng) for sample in samples]) < UNLIKELY / 1000


def test_distinct_genotypes_never_repeat():
    drawn = distinct_genotypes(np.random.default_rng(3), 2000)
    assert len(drawn) == 2000
    assert len({node_sets(genotype) for genotype in drawn}) == 2000


def node_sets(genotype):
    """The network whatever the order of a node's edges: per node the set of its genes."""
    return tuple(
        frozenset(getattr(genotype, field)[i : i + step])
        for field, step in (("normal", 2), ("reduce", 2), ("rnn", 1))
        for i in range(0, 8, step)
    )


def test_a_repeated_draw_is_replaced(monkeypatch):
    rng = np.random.default_rng(4)
    first, second = random_genotype(rng), random_genotype(rng)
    draws = iter([first, first, second])
    monkeypatch.setitem(distinct_genotypes.__globals__, "random_genotype", lambda _: next(draws))
    assert distinct_genotypes(rng, 2) == [first, second]


def test_the_seed_decides():
    draws = [distinct_genotypes(np.random.default_rng(seed), 5) for seed in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]
    assert all(isinstance(genotype, Genotype) for genotype in draws[0])


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match=r"^--num_samples 0: expected at least 1"):
        distinct_genotypes(np.random.default_rng(0), 0)
