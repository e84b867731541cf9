"""What may change when a run goes on: free flags; rates and clipping where the user says so."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

FREE_FLAGS = frozenset(
    {"restart", "cache_dir", "report_freq", "save_dir", "archive", "average_reverse_complement"}
    | {"device", "train_directory", "valid_directory", "test_directory", "allow_changed_rates"}
    | {"tensorboard", "workers", "devices", "threads", "cluster", "partition", "minutes"}
    | {"gpus", "sbatch"}
)
"""Flags that may change between the parts of one run: they don't change what is trained."""
RATE_FLAGS = frozenset(
    {"cnn_lr", "rhn_lr", "learning_rate_min", "cnn_lr_decay", "rhn_lr_decay", "learning_rate"}
    | {"adamw_lr", "arch_lr", "one_clip", "clip", "conv_clip", "rhn_clip"}
)
"""Flags that may change with --allow_changed_rates."""
CHANGES = "changed_rates"
"""Where a configuration holds them, by epoch and flag: the values before and after."""


class Stateful(Protocol):
    """Anything with a state that a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        """The state, as tensors, numbers, strings, lists and dicts."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Takes a state back."""


def continued(
    old: Mapping[str, Any], new: Mapping[str, Any], *, source: object, epoch: int
) -> dict[str, Any]:
    """The configuration of a run that goes on: the new one, with all changes of its rates.

    Args:
        old: as its checkpoint has it.
        new: as the flags have it.
        source: of the old one, for messages.
        epoch: that comes next, counted from 1.

    Raises:
        ValueError: another flag than a free one changed, or a rate without permission.
    """
    changes: dict[str, dict[str, Any]] = dict(old.get(CHANGES, {}))
    flags = (old.keys() | new.keys()) - FREE_FLAGS - {CHANGES}
    for flag in sorted(flags, key=lambda flag: (" " not in flag, flag)):  # what others follow from
        before, now = old.get(flag), new.get(flag)
        if before == now:
            continue
        if flag not in RATE_FLAGS or not new.get("allow_changed_rates"):
            name = flag if " " in flag else f"--{flag}"
            allow = "--allow_changed_rates, " if flag in RATE_FLAGS else ""
            raise ValueError(
                f"{source}: the run was started with {name} {before}, now it is {now}; "
                f"give the old value, {allow}another --save, or --restart"
            )
        same_epoch = changes.get(str(epoch), {})
        first = same_epoch.get(flag, [before])[0]
        changes[str(epoch)] = {**same_epoch, flag: [first, now]}
    return {**new, CHANGES: changes} if changes else dict(new)


def change_column(config: Mapping[str, Any], epoch: int) -> dict[str, str]:
    """The history column of an epoch from which on rates are others, else none."""
    flags = config.get(CHANGES, {}).get(str(epoch), {})
    text = ", ".join(f"{flag} {before} → {now}" for flag, (before, now) in flags.items())
    return {CHANGES: text} if text else {}


def load_states(objects: Mapping[str, Stateful], states: Mapping[str, Any]) -> None:
    """Takes states back; optimizers and schedules made with other rates than saved keep theirs.

    A schedule with other rates goes on where a run with these would be at the same epoch.
    """
    rates = {name: _rates(target) for name, target in objects.items()}
    for name, target in objects.items():
        target.load_state_dict(states[name])
    for name, target in objects.items():
        if _rates(target) != rates[name]:
            _set_rates(target, rates[name])


def _rates(target: Stateful) -> list[float]:
    """What the flags say of its learning rates; a scheduled optimizer has those of its schedule."""
    if isinstance(target, CosineAnnealingLR):
        return [*map(float, target.base_lrs), target.eta_min]
    if isinstance(target, Optimizer):
        return [group["lr"] for group in target.param_groups if "initial_lr" not in group]
    return []


def _set_rates(target: Stateful, rates: list[float]) -> None:
    if isinstance(target, CosineAnnealingLR):
        *bases, end = rates
        passed = (1 + math.cos(math.pi * target.last_epoch / target.T_max)) / 2
        rates = [end + (base - end) * passed for base in bases]
        target.base_lrs, target.eta_min = list(bases), end
        target._last_lr = list(rates)
        target = target.optimizer
    assert isinstance(target, Optimizer)
    for group, rate in zip(target.param_groups, rates, strict=True):
        group["lr"] = rate
