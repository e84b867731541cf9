"""Reads the pickled genotypes of the 2021 system without running anything they hold."""

import io
import pickle
import pickletools
import sys
from collections.abc import Iterator
from typing import Any

MAX_VALUES = 1000
"""Lists, texts and numbers that a genotype file may hold; a genotype has about a hundred."""


def unpickle_genotype(data: bytes) -> Any:
    """Turns a pickle into the plain lists, texts and integers that it holds.

    What it calls is one of four names, each replaced by an inert record of its arguments, and
    every other name is refused, so that nothing in the pickle can run.

    Raises:
        Exception: of any type; the pickle is damaged or asks for what no genotype needs.
    """
    for opcode, argument, _ in pickletools.genops(data):
        # CPython allocates a table as long as the largest memo index that it meets.
        if opcode.name.endswith("PUT") and (argument or 0) > len(data):
            raise pickle.UnpicklingError(f"its memo index {argument} is beyond the file")
    return _flatten(_GenotypeUnpickler(io.BytesIO(data)).load(), iter(range(MAX_VALUES)))


class _Call:
    """What a pickle called: the arguments, and the state that followed.

    A pickle can't change the class: as it has a `__setstate__`, that is called, and fails.
    """

    arguments: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *arguments: Any) -> "_Call":
        """Keeps the arguments."""
        self = super().__new__(cls)
        self.arguments = arguments
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Genotype(_Call):
    """The 2021 system's named tuple."""


class _Range(_Call):
    """A range."""


class _Bytes(_Call):
    """`_codecs.encode`, by which protocol 2 writes bytes."""


class _Array(_Call):
    """A numpy array, dtype or scalar."""


class _GenotypeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Call]:
        package = module.split(".")[0]
        if package == "numpy" and name in {"_reconstruct", "ndarray", "dtype", "scalar"}:
            return _Array
        if name == "Genotype" and package not in sys.stdlib_module_names:
            return _Genotype
        if module in {"builtins", "__builtin__"} and name in {"range", "xrange"}:
            return _Range
        if (module, name) == ("_codecs", "encode"):
            return _Bytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, refused")


def _flatten(value: Any, budget: Iterator[int]) -> Any:
    """Turns the records of an old file into the plain lists and values they stand for.

    `budget` has an item for every value allowed: a small pickle can hold the same list
    exponentially often.
    """
    if next(budget, None) is None:
        raise pickle.UnpicklingError("it holds more values than a genotype")
    if isinstance(value, _Array):
        return _scalar(value, budget) if value.state is None else _array(value.state, budget)
    if isinstance(value, _Bytes):
        text, encoding = value.arguments
        if encoding != "latin1":
            raise pickle.UnpicklingError("it holds bytes in an unknown form")
        return text.encode("latin-1")
    if isinstance(value, _Range):
        value = range(*value.arguments)
    elif isinstance(value, _Genotype):
        value = value.arguments
    if isinstance(value, list | tuple | range):
        return [_flatten(item, budget) for item in value]
    return value


def _array(state: Any, budget: Iterator[int]) -> Any:
    """The nested lists of an object array."""
    _, shape, _, _, contents = state
    if not isinstance(contents, list):
        raise pickle.UnpicklingError("it holds an array that is no list of genes")
    items = _flatten(contents, budget)
    for size in reversed(shape[1:]):
        items = [items[start : start + size] for start in range(0, len(items), size)]
    return items if shape else items[0]


def _scalar(value: _Array, budget: Iterator[int]) -> Any:
    """Decodes a pickled numpy integer or text scalar."""
    dtype, data = value.arguments
    code, data = dtype.arguments[0], _flatten(data, budget)
    if code[0] in "iu":
        return int.from_bytes(data, "little", signed=code[0] == "i")
    if code[0] == "U":
        return data.decode("utf-32-le").rstrip("\0")
    raise pickle.UnpicklingError("it holds a value that is no gene")
