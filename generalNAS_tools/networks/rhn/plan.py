"""What the recurrences of both RHN cells run by: masks and genes as plain integers.

B batch, H hidden, n edges of a node, E active edges.
"""

from bisect import bisect, bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from generalNAS_tools.search_space.edge_masks import RHN_EDGES, BoolArray, edges_of_node
from generalNAS_tools.search_space.genotypes import NONE, RHN_CELL, RHN_NODES, RHN_PRIMITIVES, Gene

MASK_SHAPE = RHN_CELL.mask_shape

TANH, IDENTITY, SIGMOID, RELU = range(4)
"""Columns of the mixing weights without `none`; they number the activations here."""
NUM_ACTIVATIONS = 4


class Node(NamedTuple):
    """A supernet node.

    Attributes:
        states: earlier states with an active edge into it, ascending.
        start: row of its first edge among the active edges.
        activations: activations active on any of its edges.
    """

    states: tuple[int, ...]
    start: int
    activations: tuple[int, ...]

    @property
    def edges(self) -> slice:
        """Rows of its edges among the active edges."""
        return slice(self.start, self.start + len(self.states))

    def rows(self, states: Tensor, dim: int = 0) -> Tensor:
        """The node's predecessors among all states; a view where they are neighbours."""
        if self._are_neighbours():
            return states.narrow(dim, min(self.states, default=0), len(self.states))
        return torch.stack([states.select(dim, j) for j in self.states], dim)

    def add_to(self, grads: Tensor, rows: Tensor) -> None:
        """Adds rows (n, B, H) to the predecessors among grads (9, B, H)."""
        if self._are_neighbours():
            self.rows(grads).add_(rows)
            return
        for j, row in zip(self.states, rows, strict=True):
            grads[j].add_(row)

    def _are_neighbours(self) -> bool:
        return all(after - before == 1 for before, after in pairwise(self.states))


class ActivationSpan(NamedTuple):
    """Neighbouring nodes of a group that take one activation.

    Attributes:
        activation: its number, see `TANH` and the others.
        nodes: their places in the group.
    """

    activation: int
    nodes: slice


class Group(NamedTuple):
    """Nodes of a final network that share a predecessor.

    Attributes:
        state: slot of the predecessor.
        start: slot of the group's first node; slots are numbered in order of computation.
        spans: which neighbouring nodes take which activation.
    """

    state: int
    start: int
    spans: tuple[ActivationSpan, ...]

    @property
    def stop(self) -> int:
        """Slot after the group's last node."""
        return self.start + self.spans[-1].nodes.stop

    def rows(self, states: Tensor, dim: int = 0) -> Tensor:
        """The predecessor among all states."""
        return states.select(dim, self.state)


class SearchPlan(NamedTuple):
    """A mask in the form the recurrence runs by.

    Attributes:
        nodes: the eight nodes.
        edges: numbers of the active edges.
    """

    nodes: tuple[Node, ...]
    edges: tuple[int, ...]


@lru_cache(maxsize=1024)
def search_plan(mask_bytes: bytes) -> SearchPlan:
    """The plan of a (36, 5) mask, given as its bytes so that it can be remembered."""
    mask = np.frombuffer(mask_bytes, dtype=bool).reshape(MASK_SHAPE)
    active: BoolArray = np.asarray(mask[:, NONE + 1 :].any(1))
    nodes, start = [], 0
    for i in range(RHN_NODES):
        numbers = [number for number in edges_of_node(RHN_EDGES, i) if active[number]]
        activations = np.flatnonzero(mask[numbers, NONE + 1 :].any(0))
        states = tuple(RHN_EDGES[number].state for number in numbers)
        nodes.append(Node(states, start, tuple(activations.tolist())))
        start += len(numbers)
    return SearchPlan(tuple(nodes), tuple(np.flatnonzero(active).tolist()))


def final_plan(genes: Sequence[Gene]) -> tuple[list[Group], list[list[int]]]:
    """Groups nodes by predecessor, and the numbers of each group's nodes.

    A group is computed as soon as its predecessor is; slots are numbered in that order.
    """
    groups: list[Group] = []
    members: list[list[int]] = []
    slots = {0: 0}
    for state in range(RHN_NODES):
        nodes = [i for i, (_, predecessor) in enumerate(genes) if predecessor == state]
        if not nodes:
            continue
        nodes.sort(key=lambda i: genes[i][0])
        names = [genes[i][0] for i in nodes]
        spans = []
        for name in sorted(set(names)):
            span = slice(bisect_left(names, name), bisect(names, name))
            spans.append(ActivationSpan(RHN_PRIMITIVES.index(name) - 1, span))
        groups.append(Group(slots[state], len(slots), tuple(spans)))
        members.append(nodes)
        slots.update({i + 1: len(slots) + place for place, i in enumerate(nodes)})
    return groups, members


class Edge(NamedTuple):
    """An edge from a state to a node.

    Attributes:
        node: the node.
        row: its mixing weights; None where `activation` is its only one.
        activation: see there.
    """

    node: int
    row: int | None = None
    activation: int = TANH


INITIAL_EDGE = Edge(0)
"""From the output of the time step before to the initial state."""
Edges = tuple[tuple[Edge, ...], ...]
"""By state; the nodes that a state feeds are neighbours."""


SEARCH_EDGES: Edges = tuple(
    tuple(Edge(edge.node, row) for row, edge in enumerate(RHN_EDGES) if edge.state == state)
    for state in range(RHN_NODES)
)
"""Every edge of a supernet."""


def final_edges(groups: Sequence[Group]) -> Edges:
    """The edges of a final network, its nodes in the order of their slots."""
    edges: list[tuple[Edge, ...]] = [()] * RHN_NODES
    for group in groups:
        edges[group.state] = tuple(
            Edge(group.start - 1 + number, activation=span.activation)
            for span in group.spans
            for number in range(span.nodes.start, span.nodes.stop)
        )
    return tuple(edges)
