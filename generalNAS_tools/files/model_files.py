"""Trained models on disk: weights, what was built, and its frame; never pickled objects."""

import dataclasses
import os
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import MAX_LAYERS, NetworkOptions
from generalNAS_tools.search_space.genotypes import Genotype, parse_genotype

_Network = TypeVar("_Network", bound=nn.Module)


class FinalModel(NamedTuple):
    """A final network read from disk.

    Attributes:
        network: with its trained weights, on the CPU.
        genotype: its architecture.
        options: its frame.
        path: of the file.
        targets: their names; None where the file has none.
    """

    network: FinalNetwork
    genotype: Genotype
    options: NetworkOptions
    path: str
    targets: tuple[str, ...] | None


def describe(genotype: Genotype, options: NetworkOptions) -> dict[str, Any]:
    """What the file of a final network holds besides its weights, enough to build it again."""
    return {"genotype": genotype._asdict(), "options": dataclasses.asdict(options)}


def load_final_model(path: str | os.PathLike[str]) -> FinalModel:
    """Reads a final network back.

    Raises:
        ValueError: the file is missing, damaged or holds something else.
    """
    return final_model(load_weights(path), path)


def final_model(state: dict[str, Any], path: str | os.PathLike[str]) -> FinalModel:
    """Builds the final network that a file describes.

    Raises:
        ValueError: naming the file, when it describes something else.
    """
    if state.keys() - {"trained", "targets"} != {"genotype", "options", "weights"}:
        raise ValueError(
            f"{path}: holds {', '.join(map(str, sorted(state, key=str)))}; expected a model "
            "written by train_finalArchitecture.py"
        )
    genotype = parse_genotype(state["genotype"], source=str(path))
    options = _options(state["options"], path)
    network = with_weights(lambda: FinalNetwork(genotype, options), state["weights"], path)
    targets = stored_targets(state, options.num_targets, path)
    return FinalModel(network, genotype, options, os.fspath(path), targets)


def stored_targets(
    state: dict[str, Any], num_targets: int, path: str | os.PathLike[str]
) -> tuple[str, ...] | None:
    """The names of a model's targets, if its file has some.

    Raises:
        ValueError: naming the file, when they are no texts or of another number.
    """
    names = state.get("targets")
    if names is None:
        return None
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or len(names) != num_targets:
        raise ValueError(f"{path}: its target names aren't {num_targets} texts")
    return tuple(names)


def with_weights(
    build: Callable[[], _Network], weights: Any, path: str | os.PathLike[str]
) -> _Network:
    """Builds a network as a file describes it and gives it the file's weights.

    It takes no memory before the weights are known to fit, whatever sizes the file tells.

    Raises:
        ValueError: naming the file, when they don't.
    """
    try:
        with torch.device("meta"):
            network = build()
        network.load_state_dict(weights, assign=True)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: the weights don't fit the network that it describes") from error
    return network


def _options(fields: Any, path: str | os.PathLike[str]) -> NetworkOptions:
    try:
        options = NetworkOptions(**fields)
        *sizes, dropoutx, dropouth, head_dropout = dataclasses.astuple(options)
        valid = all(type(size) is int and size > 0 for size in sizes)
        valid = valid and options.layers <= MAX_LAYERS
        valid = valid and all(0 <= rate < 1 for rate in (dropoutx, dropouth, head_dropout))
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"{path}: its network options are {reprlib.repr(fields)}")
    try:
        options.check_memory()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return options
