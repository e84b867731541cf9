"""Files of tensors and plain values: written atomically, read without running anything."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generalNAS_tools.atomic_files import atomic_write


def save_weights(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Writes tensors, numbers, strings, lists and dicts atomically.

    Raises:
        ValueError: the file can't be written; what stood there before stays.
    """
    with atomic_write(path) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # how torch reports a failed write, a full disk say
            raise OSError(str(error).splitlines()[0]) from error


def load_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `save_weights` wrote, onto the CPU; no pickled code is ever run.

    Raises:
        ValueError: the file is missing, damaged or holds anything but plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a model or checkpoint of this project")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: damaged, or not a file of this project") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds {type(state).__name__}, not a model or checkpoint")
    return state


def random_states() -> dict[str, Any]:
    """States of torch's generators, the only global randomness in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_states(states: dict[str, Any]) -> None:
    """Puts torch's generators where `random_states` found them."""
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def all_finite(state: Any) -> bool:
    """Whether every floating-point tensor in a nested state is finite."""
    tensors = [tensor for tensor in _tensors(state) if tensor.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, list | tuple):
        return [tensor for item in state for tensor in _tensors(item)]
    return []
