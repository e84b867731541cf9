"""The search space's primitives and kinds of cells, and the genotype, checked field by field."""

import json
import reprlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

CNN_PRIMITIVES = (
    "none",
    "max_pool_5",
    "avg_pool_5",
    "skip_connect",
    "sep_conv_15",
    "sep_conv_9",
    "dil_conv_15",
    "dil_conv_9",
    "conv_15",
)
RHN_PRIMITIVES = ("none", "tanh", "identity", "sigmoid", "relu")
NONE = 0
"""Index of `none` in both lists of primitives."""

CNN_NODES = 4
CNN_INPUTS = 2
RHN_NODES = 8
EDGES_PER_CNN_NODE = 2

Gene = tuple[str, int]


class Edge(NamedTuple):
    """An edge from an earlier state into a node.

    Attributes:
        node: index of the node it ends in, from 0.
        state: index of the state it leaves (CNN: 0 and 1 are the cell's inputs, 2.. the nodes;
            RHN: 0 is the initial state, 1.. the nodes).
    """

    node: int
    state: int


@dataclass(frozen=True)
class CellKind:
    """What all cells of one kind have in common.

    Attributes:
        primitives: what an edge may carry, in index order.
        inputs: number of states before the nodes.
        nodes: number of nodes.
        edges_per_node: edges that a genotype keeps into every node.
    """

    primitives: tuple[str, ...]
    inputs: int
    nodes: int
    edges_per_node: int

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, numbered node by node."""
        return tuple(Edge(i, j) for i in range(self.nodes) for j in range(self.inputs + i))

    @property
    def mask_shape(self) -> tuple[int, int]:
        """(edges, primitives)."""
        return len(self.edges), len(self.primitives)

    @property
    def operations(self) -> int:
        """Number of operations that a genotype keeps."""
        return self.nodes * self.edges_per_node

    @property
    def outputs(self) -> tuple[int, ...]:
        """States that make the cell's output: all nodes."""
        return tuple(range(self.inputs, self.inputs + self.nodes))


CNN_CELL = CellKind(CNN_PRIMITIVES, CNN_INPUTS, CNN_NODES, EDGES_PER_CNN_NODE)
RHN_CELL = CellKind(RHN_PRIMITIVES, inputs=1, nodes=RHN_NODES, edges_per_node=1)
CELL_KINDS = {"normal": CNN_CELL, "reduce": CNN_CELL, "rnn": RHN_CELL}
"""Kinds of cells by the genotype's fields."""


class Genotype(NamedTuple):
    """A found architecture.

    Attributes:
        normal: eight pairs (primitive, state index), two per CNN node in node order.
        normal_concat: states concatenated as the normal cell's output, 2..5.
        reduce: as `normal`, for the reduction cell.
        reduce_concat: as `normal_concat`.
        rnn: eight pairs (activation, state index), one per RHN node.
        rnn_concat: RHN states averaged as the output, 1..8.
    """

    normal: tuple[Gene, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Gene, ...]
    reduce_concat: tuple[int, ...]
    rnn: tuple[Gene, ...]
    rnn_concat: tuple[int, ...]

    @classmethod
    def of(cls, normal: "list[Gene]", reduce: "list[Gene]", rnn: "list[Gene]") -> "Genotype":
        """Builds a checked genotype with the search space's fixed concatenations."""
        cnn_concat, rnn_concat = CNN_CELL.outputs, RHN_CELL.outputs
        return parse_genotype(
            (normal, cnn_concat, reduce, cnn_concat, rnn, rnn_concat), source="genotype"
        )

    def to_json(self) -> str:
        """The genotype as a JSON object, in one canonical form."""
        return json.dumps(self._asdict())


def parse_genotype(value: Any, *, source: str) -> Genotype:
    """Checks every field of a genotype-like value (mapping or sequence of six).

    Raises:
        ValueError: naming the field that is wrong and `source`.
    """
    if isinstance(value, dict):
        missing = [name for name in Genotype._fields if name not in value]
        if missing:
            raise ValueError(f"{source}: genotype without {', '.join(missing)}")
        value = [value[name] for name in Genotype._fields]
    if not isinstance(value, list | tuple) or len(value) != len(Genotype._fields):
        raise ValueError(f"{source}: expected a genotype of {len(Genotype._fields)} fields")
    fields: dict[str, Any] = dict(zip(Genotype._fields, value, strict=True))
    for name, kind in CELL_KINDS.items():
        concat = f"{name}_concat"
        fields[name] = _genes(fields[name], name, source)
        fields[concat] = _concat(fields[concat], kind.outputs, concat, source)
    return Genotype(**fields)


def _genes(value: Any, field: str, source: str) -> tuple[Gene, ...]:
    kind = CELL_KINDS[field]
    primitives = kind.primitives[1:]
    if not isinstance(value, list | tuple) or len(value) != kind.operations:
        raise ValueError(f"{source}: {field} must list {kind.operations} pairs (primitive, state)")
    genes: list[Gene] = []
    for position, pair in enumerate(value):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"{source}: {field}[{position}] is not a pair (primitive, state)")
        name, state = pair
        if name not in primitives:
            raise ValueError(
                f"{source}: {field}[{position}] is {reprlib.repr(name)}; "
                f"expected one of {primitives}"
            )
        states = kind.inputs + position // kind.edges_per_node
        if isinstance(state, bool) or not isinstance(state, int) or not 0 <= state < states:
            raise ValueError(
                f"{source}: {field}[{position}] takes state {reprlib.repr(state)}; "
                f"expected 0..{states - 1}"
            )
        genes.append((str(name), state))
    return tuple(genes)


def _concat(value: Any, expected: tuple[int, ...], field: str, source: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | range) or list(value) != list(expected):
        raise ValueError(f"{source}: {field} is {reprlib.repr(value)}; expected {list(expected)}")
    return expected
