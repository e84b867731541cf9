"""Reads the pickled genotypes of the 2021 system without running anything they hold."""

import io
import pickle
import pickletools
import sys
from collections.abc import Iterator
from typing import Any

MAX_VALUES = 1000
"""Lists, texts and numbers that a genotype file may hold; a genotype has about a hundred."""
MAX_RANGE = 64


def unpickle_genotype(data: bytes) -> Any:
    """Turns a pickle into the plain lists, texts and integers that it holds.

    Numpy's names become inert stand-ins, `Genotype` a plain tuple, and every other name is
    refused, so that nothing in the pickle can run.

    Raises:
        Exception: of any type; the pickle is damaged or asks for what no genotype needs.
    """
    for opcode, argument, _ in pickletools.genops(data):
        # CPython allocates a table as long as the largest memo index that it meets.
        if opcode.name.endswith("PUT") and (argument or 0) > len(data):
            raise pickle.UnpicklingError(f"its memo index {argument} is beyond the file")
    return _flatten(_GenotypeUnpickler(io.BytesIO(data)).load(), iter(range(MAX_VALUES)))


class _Sealed(type):
    """Type of the stand-ins: a pickle can't change their attributes."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"it sets {name} of a class, refused")


class _PickledArray(metaclass=_Sealed):
    """Stands in for a numpy array, dtype or scalar; keeps its arguments and state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _PickledGenotype(tuple[Any, ...], metaclass=_Sealed):
    """Stands in for the 2021 system's named tuple."""

    __slots__ = ()

    def __new__(cls, *fields: Any) -> "_PickledGenotype":
        """Takes the named tuple's fields as separate arguments."""
        return super().__new__(cls, fields)


class _PickledRange(list[int], metaclass=_Sealed):
    """Stands in for a short range."""

    __slots__ = ()

    def __init__(self, *limits: int) -> None:
        if any(not isinstance(limit, int) or abs(limit) > MAX_RANGE for limit in limits):
            raise pickle.UnpicklingError("it holds a range far beyond a genotype's")
        super().__init__(range(*limits))


class _PickledBytes(metaclass=_Sealed):
    """Stands in for `_codecs.encode`, by which protocol 2 writes bytes."""

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        """The bytes whose latin-1 text was written."""
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("it holds bytes in an unknown form")
        return text.encode("latin-1")


class _GenotypeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        package = module.split(".")[0]
        if package == "numpy" and name in {"_reconstruct", "ndarray", "dtype", "scalar"}:
            return _PickledArray
        if name == "Genotype" and package not in sys.stdlib_module_names:
            return _PickledGenotype
        if module in {"builtins", "__builtin__"} and name in {"range", "xrange"}:
            return _PickledRange
        if (module, name) == ("_codecs", "encode"):
            return _PickledBytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, refused")


def _flatten(value: Any, budget: Iterator[int]) -> Any:
    """Turns the stand-ins of an old file into the plain lists they hold.

    `budget` has an item for every value allowed: a small pickle can hold the same list
    exponentially often.
    """
    if next(budget, None) is None:
        raise pickle.UnpicklingError("it holds more values than a genotype")
    if isinstance(value, list | tuple):
        return [_flatten(item, budget) for item in value]
    if not isinstance(value, _PickledArray):
        return value
    if value.state is None:
        return _scalar(value)
    shape, contents = value.state[1], value.state[4]
    if not isinstance(contents, list):
        raise pickle.UnpicklingError("it holds an array that is no list of genes")
    items = [_flatten(item, budget) for item in contents]
    if shape == ():
        return items[0]
    for size in reversed(shape[1:]):
        items = [items[start : start + size] for start in range(0, len(items), size)]
    return items


def _scalar(value: _PickledArray) -> Any:
    """Decodes a pickled numpy integer or text scalar."""
    dtype, data = value.arguments
    code = dtype.arguments[0]
    if code[0] in "iu" and isinstance(data, bytes):
        return int.from_bytes(data, "little", signed=code[0] == "i")
    if code[0] == "U" and isinstance(data, bytes):
        return data.decode("utf-32-le").rstrip("\0")
    raise pickle.UnpicklingError("it holds a value that is no gene")
