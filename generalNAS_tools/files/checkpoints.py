"""Files of tensors and plain values: written atomically, read without running anything."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import atomic_write, check_file, reading

_PARTS = {
    "config": dict,
    "position": dict,
    "history": list,
    "partial": dict | None,
    "objects": dict,
    "random": dict,
}
"""What a run's checkpoint holds."""


def save_weights(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Writes tensors, numbers, strings, lists and dicts atomically; all ranks wait until it's done.

    Raises:
        ValueError: the file can't be written; what stood there before stays.
    """
    with atomic_write(path) as file:
        torch.save(state, file)
    ranks.wait()


def load_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `save_weights` wrote, onto the CPU; no pickled code is ever run.

    Raises:
        ValueError: the file is missing, damaged or holds anything but plain values, or a tensor
            in it isn't finite.
    """
    check_file(path, "a model or checkpoint of this project")
    with reading(path, "a file of this project"):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself doesn't look at the sums
        if damaged is not None:
            raise ValueError(f"wrong sum of {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        parts = state.items() if isinstance(state, dict) else ()
        # Fails on tensors and lists that no file of ours holds: sparse, quantized, endless.
        wrong = [name for name, part in parts if not all_finite(part)]
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds {type(state).__name__}, not a model or checkpoint")
    if wrong:
        raise ValueError(f"{path}: its {wrong[0]} hold NaN or infinity; expected finite numbers")
    return state


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the checkpoint of a run.

    Raises:
        ValueError: as `load_weights`, or a part of it is missing.
    """
    state = load_weights(path)
    wrong = [name for name, kind in _PARTS.items() if not isinstance(state.get(name, 0), kind)]
    if wrong:
        raise ValueError(
            f"{path}: no checkpoint of a run (without {', '.join(wrong)}); expected what the same "
            "command wrote, or --restart"
        )
    return state


def random_states(device: torch.device) -> dict[str, Any]:
    """States of torch's generators on the CPU and on a device, all global randomness in use."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Puts torch's generators where `random_states` found them."""
    torch.set_rng_state(states["cpu"])
    if states["cuda"] is not None and device.type == "cuda":  # else others train on it
        torch.cuda.set_rng_state(states["cuda"], device)


def take_first_random_states(device: torch.device) -> None:
    """Gives all ranks the random states of rank 0."""
    if ranks.count() > 1:
        states = random_states(device)
        ranks.copy_first([state for state in states.values() if state is not None])
        set_random_states(states, device)


def check_same_state(objects: Mapping[str, Any]) -> None:
    """Checks that all ranks have the same tensors in the states of the objects.

    Raises:
        ValueError: they don't in one, which is named.
    """
    for name, target in objects.items() if ranks.count() > 1 else ():
        ranks.check_same(_checksum(target.state_dict()), f"the state of the {name}")


def _checksum(state: Any, value: int = 0) -> int:
    if isinstance(state, Tensor):
        return zlib.crc32(state.detach().cpu().contiguous().numpy().tobytes(), value)
    items = state.values() if isinstance(state, dict) else state
    for item in items if isinstance(state, dict | list | tuple) else ():
        value = _checksum(item, value)
    return value


def all_finite(state: Any) -> bool:
    """Whether every tensor in a nested state is finite."""
    if isinstance(state, Tensor):
        return bool(state.isfinite().all())
    if isinstance(state, dict):
        return all_finite(list(state.values()))
    if isinstance(state, list | tuple):
        return all(all_finite(item) for item in state)
    return True
