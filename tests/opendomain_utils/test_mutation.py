import numpy as np
import pytest

from BONAS_search_space.graphs import (
    BONAS_CNN_PRIMITIVES,
    BONAS_RHN_PRIMITIVES,
    architecture_key,
    check_architecture,
    genotype_of,
    is_fully_connected,
)
from data_generators.random_graphs import random_architecture
from opendomain_utils import mutation
from opendomain_utils.mutation import mutate


def test_children_are_valid_new_and_fully_connected():
    rng = np.random.default_rng(0)
    parent = random_architecture(rng)
    known = {architecture_key(parent)}
    for _ in range(2000):
        child = mutate(parent, rng, known)
        check_architecture(child, source="child")
        assert is_fully_connected(child)
        assert architecture_key(child) not in known
        known.add(architecture_key(child))
        parent = child if rng.random() < 0.1 else parent


def single_gene_moves(parent):
    """All genotypes one gene's primitive or state away, valid or not."""
    for cell, primitives in ((0, BONAS_CNN_PRIMITIVES), (1, BONAS_RHN_PRIMITIVES)):
        for position in range(8):
            states = 1 + position if cell else 2 + position // 2
            name, state = (parent.normal, parent.rnn)[cell][position]
            moves = [(other, state) for other in primitives if other != name]
            moves += [(name, other) for other in range(states) if other != state]
            for gene in moves:
                cells = [list(parent.normal), list(parent.rnn)]
                cells[cell][position] = gene
                yield genotype_of(*cells)


def is_member(genotype):
    try:
        check_architecture(genotype, source="neighbour")
    except ValueError:
        return False
    return is_fully_connected(genotype)


def test_every_neighbour_is_a_child():
    rng = np.random.default_rng(1)
    parent = random_architecture(rng)
    missing = {architecture_key(child) for child in single_gene_moves(parent) if is_member(child)}
    missing.discard(architecture_key(parent))
    assert len(missing) > 60
    for _ in range(20_000):
        missing.discard(architecture_key(mutate(parent, rng)))
        if not missing:
            break
    assert not missing


def test_single_gene_moves_lead_from_any_architecture_to_any_other():
    """Replaces A's genes by B's one at a time, in an order that keeps all steps valid.

    An order may not exist without a detour; then a random gene moves first.
    With `test_every_neighbour_is_a_child`, every architecture can be reached.
    """
    rng = np.random.default_rng(2)
    for _ in range(6):
        here, target = random_architecture(rng), random_architecture(rng)
        for _ in range(200):
            if architecture_key(here) == architecture_key(target):
                break
            here = step_towards(here, target, rng)
        assert architecture_key(here) == architecture_key(target)


def step_towards(here, target, rng):
    neighbours = [child for child in single_gene_moves(here) if is_member(child)]
    nearest = min(neighbours, key=lambda genotype: distance(genotype, target))
    if distance(nearest, target) < distance(here, target):
        return nearest
    return neighbours[rng.integers(len(neighbours))]


def distance(one, other):
    """Primitives and states that differ, the genes of a CNN node matched at best."""
    cnn = 0
    for i in range(0, 8, 2):
        pair, (first, second) = one.normal[i : i + 2], other.normal[i : i + 2]
        cnn += min(differing(pair, (first, second)), differing(pair, (second, first)))
    return cnn + differing(one.rnn, other.rnn)


def differing(genes, others):
    return int((np.array(genes) != np.array(others)).sum())


def test_edges_and_operations_of_both_graphs_change_together_and_apart():
    rng = np.random.default_rng(3)
    parent = random_architecture(rng)
    seen = set()
    for _ in range(500):
        child = mutate(parent, rng)
        seen.add(
            tuple(
                any(a[part] != b[part] for a, b in zip(new, old, strict=True))
                for new, old in ((child.normal, parent.normal), (child.rnn, parent.rnn))
                for part in (0, 1)
            )
        )
    assert len(seen) == 15


def test_few_draws_per_child(monkeypatch):
    monkeypatch.setattr(mutation, "MAX_ATTEMPTS", 20)
    rng = np.random.default_rng(4)
    for _ in range(500):
        mutate(random_architecture(rng), rng)


def test_nothing_new_ends_in_an_error():
    class Everything:
        def __contains__(self, key):
            return True

    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="no new child"):
        mutate(random_architecture(rng), rng, Everything())
