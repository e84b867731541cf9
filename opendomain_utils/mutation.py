"""Mutation of architectures: edges and operations of the CNN and RHN graphs."""

from collections.abc import Container

import numpy as np

from BONAS_search_space.graphs import (
    BONAS_CNN_PRIMITIVES,
    BONAS_RHN_PRIMITIVES,
    CNN_GENES,
    IntArray,
    architecture_key,
    genotype_of,
    is_fully_connected,
)
from generalNAS_tools.search_space.genotypes import (
    CNN_INPUTS,
    EDGES_PER_CNN_NODE,
    RHN_NODES,
    Gene,
    Genotype,
)

MAX_ATTEMPTS = 1000
"""Children drawn for one parent before giving up. One or two suffice, unless the caller
already knows nearly all its neighbours."""

_CNN_OPERATIONS = np.full(CNN_GENES, len(BONAS_CNN_PRIMITIVES))
_CNN_STATES = CNN_INPUTS + np.arange(CNN_GENES) // EDGES_PER_CNN_NODE
_RHN_OPERATIONS = np.full(RHN_NODES, len(BONAS_RHN_PRIMITIVES))
_RHN_STATES = 1 + np.arange(RHN_NODES)
_PARTS = (_CNN_OPERATIONS, _CNN_STATES, _RHN_OPERATIONS, _RHN_STATES)
"""Number of values that each gene of a part can take."""


def mutate(parent: Genotype, rng: np.random.Generator, known: Container[str] = ()) -> Genotype:
    """Draws a child of `parent`: valid, fully connected, not the parent and not known.

    A random non-empty subset of four parts changes: CNN operations, CNN edges, RHN operations,
    RHN edges. In each at least one gene is redrawn, every other with probability one over the
    genes of the part. Any set of genes can be the one redrawn, and each to any other value, so
    every fully connected architecture is a possible child of every other.

    Args:
        parent: the architecture to change.
        rng: source of randomness.
        known: keys (`architecture_key`) that the child must not have.

    Raises:
        ValueError: no new child was found in `MAX_ATTEMPTS` draws.
    """
    parent_key = architecture_key(parent)
    values = _to_values(parent)
    for _ in range(MAX_ATTEMPTS):
        chosen = 1 + rng.integers(2 ** len(_PARTS) - 1)
        child = _to_genotype(
            [
                _redraw(part, choices, rng) if chosen >> number & 1 else part
                for number, (part, choices) in enumerate(zip(values, _PARTS, strict=True))
            ]
        )
        if any(child.normal[i] == child.normal[i + 1] for i in range(0, CNN_GENES, 2)):
            continue
        key = architecture_key(child)
        if key != parent_key and key not in known and is_fully_connected(child):
            return child
    raise ValueError(f"no new child of {parent_key} in {MAX_ATTEMPTS} draws: all seem known")


def _redraw(values: IntArray, choices: IntArray, rng: np.random.Generator) -> IntArray:
    """Moves a random non-empty set of genes, each to another of its `choices` values."""
    free = np.flatnonzero(choices > 1)
    moved = rng.random(len(free)) < 1 / len(free)
    moved[rng.integers(len(free))] = True
    genes = free[moved]
    changed = values.copy()
    changed[genes] = (values[genes] + rng.integers(1, choices[genes])) % choices[genes]
    return changed


def _to_values(genotype: Genotype) -> list[IntArray]:
    """The four parts of an architecture as indices of primitives and states."""
    return [
        np.array([BONAS_CNN_PRIMITIVES.index(name) for name, _ in genotype.normal]),
        np.array([state for _, state in genotype.normal]),
        np.array([BONAS_RHN_PRIMITIVES.index(name) for name, _ in genotype.rnn]),
        np.array([state for _, state in genotype.rnn]),
    ]


def _to_genotype(values: list[IntArray]) -> Genotype:
    cnn_operations, cnn_states, rhn_operations, rhn_states = values
    return genotype_of(
        _genes(BONAS_CNN_PRIMITIVES, cnn_operations, cnn_states),
        _genes(BONAS_RHN_PRIMITIVES, rhn_operations, rhn_states),
    )


def _genes(primitives: tuple[str, ...], operations: IntArray, states: IntArray) -> list[Gene]:
    return [(primitives[k], int(state)) for k, state in zip(operations, states, strict=True)]
