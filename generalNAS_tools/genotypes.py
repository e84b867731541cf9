"""The primitives of the search space and the genotype: reading, writing, checking."""

import io
import json
import os
import reprlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from generalNAS_tools.atomic_files import write_array
from generalNAS_tools.pickled_genotypes import unpickle_genotype

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
MAX_GENOTYPE_BYTES = 1 << 20

Gene = tuple[str, int]


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
        cnn_concat = tuple(range(CNN_INPUTS, CNN_INPUTS + CNN_NODES))
        rnn_concat = tuple(range(1, RHN_NODES + 1))
        return parse_genotype(
            cls(tuple(normal), cnn_concat, tuple(reduce), cnn_concat, tuple(rnn), rnn_concat),
            source="genotype",
        )

    def to_json(self) -> str:
        """The genotype as a JSON object, in one canonical form."""
        return json.dumps(self._asdict())


def read_genotype(path: str | os.PathLike[str]) -> Genotype:
    """Reads a genotype file: ours (JSON in a 0-d array) or the 2021 system's (pickled).

    Pickled files pass through a reader that can build nothing but a genotype.

    Raises:
        ValueError: the file is missing, unreadable or holds no valid genotype.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"--genotype_file {path}: no such file; expected a genotype (.npy)")
    if path.stat().st_size > MAX_GENOTYPE_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes is too large for a genotype")
    try:
        value = _decode(path.read_bytes())
    except Exception as error:
        raise ValueError(f"{path}: not a genotype file ({_one_line(error)})") from error
    return parse_genotype(value, source=str(path))


def write_genotype(path: str | os.PathLike[str], genotype: Genotype) -> None:
    """Writes a genotype atomically as a 0-d unicode array with JSON; no pickle."""
    write_array(path, np.array(genotype.to_json()))


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
    normal, normal_concat, reduce, reduce_concat, rnn, rnn_concat = value
    cnn_concat = range(CNN_INPUTS, CNN_INPUTS + CNN_NODES)
    return Genotype(
        _genes(normal, "normal", source),
        _concat(normal_concat, cnn_concat, "normal_concat", source),
        _genes(reduce, "reduce", source),
        _concat(reduce_concat, cnn_concat, "reduce_concat", source),
        _genes(rnn, "rnn", source),
        _concat(rnn_concat, range(1, RHN_NODES + 1), "rnn_concat", source),
    )


def _genes(value: Any, field: str, source: str) -> tuple[Gene, ...]:
    primitives = RHN_PRIMITIVES if field == "rnn" else CNN_PRIMITIVES
    per_node = 1 if field == "rnn" else EDGES_PER_CNN_NODE
    inputs = 1 if field == "rnn" else CNN_INPUTS
    count = RHN_NODES if field == "rnn" else CNN_NODES * EDGES_PER_CNN_NODE
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ValueError(f"{source}: {field} must list {count} pairs (primitive, state)")
    genes: list[Gene] = []
    for position, pair in enumerate(value):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"{source}: {field}[{position}] is not a pair (primitive, state)")
        name, state = pair
        if name not in primitives[1:]:
            raise ValueError(
                f"{source}: {field}[{position}] is {reprlib.repr(name)}; "
                f"expected one of {primitives[1:]}"
            )
        states = inputs + position // per_node
        if isinstance(state, bool) or not isinstance(state, int) or not 0 <= state < states:
            raise ValueError(
                f"{source}: {field}[{position}] takes state {reprlib.repr(state)}; "
                f"expected 0..{states - 1}"
            )
        genes.append((str(name), state))
    return tuple(genes)


def _concat(value: Any, expected: range, field: str, source: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | range) or list(value) != list(expected):
        raise ValueError(f"{source}: {field} is {reprlib.repr(value)}; expected {list(expected)}")
    return tuple(expected)


def _decode(raw: bytes) -> Any:
    if not raw.startswith(b"\x93NUMPY"):
        return unpickle_genotype(raw)
    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        return unpickle_genotype(stream.read())
    if dtype.kind != "U" or shape != ():
        raise ValueError(f"holds {dtype} of shape {shape}, not JSON text")
    stream.seek(0)
    return json.loads(str(np.load(stream, allow_pickle=False)))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
