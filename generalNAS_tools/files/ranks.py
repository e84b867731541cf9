"""The ranks of a run: the processes of `torchrun`, each with its share of every batch.

A process that torchrun didn't start is the only rank: it waits for nobody, and every value stays
as it is. All ranks call the functions that communicate in the same order. Tensors on GPUs travel by
NCCL, those on CPUs by gloo, which also notices at once when a rank has died.
"""

import atexit
import contextlib
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

log = logging.getLogger(__name__)

MIN_SHARE, GOOD_SHARE = 2, 16
"""Sequences of a batch that a rank needs for BatchNorm, and those that make good statistics."""
_PATIENCE = timedelta(days=1)
"""How long ranks wait for one that packs data or scores a test set; not for one that died."""


class LostRank(Exception):  # noqa: N818 - said of another process
    """Another rank has left or died, so this one can't go on."""


def start() -> int:
    """Joins the other ranks if torchrun started this process; gives its number."""
    if dist.is_available() and dist.is_torchelastic_launched() and not _several():
        store, rank, size = next(iter(dist.rendezvous("env://")))
        if size > 1:
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            size_and_rank = {"world_size": size, "rank": rank}
            with _together():
                dist.init_process_group(backend, store=store, timeout=_PATIENCE, **size_and_rank)
            atexit.register(dist.destroy_process_group)
            sys.excepthook = _die
            wait()  # or one that fails at once would break into the others' greetings
    return number()


def leave(code: int) -> NoReturn:
    """Ends a run that failed; one of several ranks at once, as NCCL's end waits for the others."""
    if _several():
        os._exit(code)
    sys.exit(code)


def _die(*error: Any) -> None:
    sys.__excepthook__(*error)
    leave(1)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


def number() -> int:
    """This rank's number; rank 0 is the one that writes and reports."""
    return dist.get_rank() if _several() else 0


def count() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if _several() else 1


def own_device(kind: str) -> str:
    """The name of this rank's own device of a kind; the only rank's is the kind's first.

    Raises:
        RuntimeError: the machine has fewer GPUs than ranks.
    """
    if kind != "cuda" or not _several():
        return kind
    own = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(own)
    return f"cuda:{own}"


def seed_others(*where: int) -> None:
    """Gives ranks other than rank 0 masks of their own, by numbers that say which step it is."""
    if number() > 0:
        torch.manual_seed(int(np.random.default_rng([*where, number()]).integers(2**63)))


def may_report() -> bool:
    """Whether this process, which is about to fail, is the first to: one rank says why."""
    if not _several():
        return True
    store, *_ = next(iter(dist.rendezvous("env://")))
    return bool(store.add("failed", 1) == 1)


def share(items: Any) -> Any:
    """The slice of a sequence or tensor that is this rank's, in order and as even as it goes."""
    size, more = divmod(len(items), count())
    start = number() * size + min(number(), more)
    return items[start : start + size + (number() < more)]


@functools.cache
def check_shares(batch_size: int) -> None:
    """Checks what the ranks get of a batch, and warns, once, if it is little.

    Raises:
        ValueError: less than BatchNorm can do with.
    """
    least = batch_size // count()
    if count() > 1 and least < MIN_SHARE:
        raise ValueError(
            f"a batch of {batch_size} on {count()} ranks: expected {MIN_SHARE} sequences a rank or "
            "more"
        )
    if count() > 1 and least < GOOD_SHARE:
        log.warning(
            "a batch of %d leaves %d sequences a rank: below %d BatchNorm's statistics are poor; "
            "take fewer ranks or a larger batch",
            *(batch_size, least, GOOD_SHARE),
        )


def add_up(tensors: Sequence[Tensor], weight: float = 1) -> None:
    """Replaces tensors by their sums over the ranks, in one message.

    Args:
        tensors: of one dtype.
        weight: of this rank; its share of the batch makes the sums averages.
    """
    _in_one_message(tensors, lambda flat: dist.all_reduce(flat.mul_(weight)))


def copy_first(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors of one dtype by those of rank 0, in one message."""
    _in_one_message(tensors, lambda flat: dist.broadcast(flat, 0))


def value_of_first(value: Any) -> Any:
    """What rank 0 has of a plain value, as JSON keeps it."""
    if not _several():
        return value
    text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    size = torch.tensor(len(text))
    copy_first([size])
    text = text if number() == 0 else text.new_empty(int(size))
    copy_first([text])
    return json.loads(bytes(text.tolist()))


def largest(value: int) -> int:
    """The largest of the ranks' numbers."""
    if _several():
        found = torch.tensor(value)
        with _together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        value = int(found)
    return value


def wait() -> None:
    """Lets all ranks come here before one goes on."""
    largest(0)


def check_same(value: int, what: str) -> None:
    """Checks that all ranks have the same number.

    Raises:
        ValueError: they differ in what `what` says.
    """
    if largest(value) != -largest(-value):
        raise ValueError(
            f"{what} differs between the ranks; the last checkpoint is good: continue from it, on "
            "fewer ranks or equal devices"
        )


def gather(rows: Tensor) -> Tensor:
    """The rows of all ranks in their order, on rank 0; none elsewhere.

    Args:
        rows: (N of this rank, …) on the CPU.
    """
    if not _several():
        return rows
    sizes = torch.zeros(count(), dtype=torch.int64)
    sizes[number()] = len(rows)
    add_up([sizes])
    if number() > 0:
        with _together():
            dist.send(rows.contiguous(), 0)
        return rows[:0]
    found = rows.new_empty(int(sizes.sum()), *rows.shape[1:])
    parts = found.split(sizes.tolist())
    parts[0].copy_(rows)
    for rank, part in enumerate(parts[1:], 1):
        with _together():
            dist.recv(part, rank)
    return found


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Runs the block on rank 0, then on all others."""
    if number() > 0:
        wait()
    yield
    if number() == 0:
        wait()


def _in_one_message(tensors: Sequence[Tensor], send: Callable[[Tensor], Any]) -> None:
    if not _several() or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _together():
        send(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    shaped = [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
    torch._foreach_copy_(list(tensors), shaped)


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Within the block a message of all ranks.

    Raises:
        LostRank: another one has left.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LostRank(
            f"another rank has left or died; the same command goes on from the last checkpoint "
            f"({error})"
        ) from error
