"""What every script does first and last: set up, and leave with the right exit code."""

import contextlib
import ctypes
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch

from generalNAS_tools.data.deepsea_data import Splits, load_splits
from generalNAS_tools.files import ranks
from generalNAS_tools.files.progress import STDERR, keep_descriptors, say
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.runs.arithmetic import compile_mode, set_arithmetic
from generalNAS_tools.runs.divergence import Diverged
from generalNAS_tools.runs.flags import as_config
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import DataOptions, RunOptions, SearchOptions, SupernetOptions
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.runs.signals import Stopped, on_stop, stop_at_once

log = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""
DIVERGED = 3
BAD_INPUT = 2
LOST_RANK = 4
SIGNAL_EXIT = 128
_OUT_OF_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


class Setup(NamedTuple):
    """What a training script works with.

    Attributes:
        splits: train and valid sets.
        run: the run's directory, resumed if it was interrupted.
        loop: options of every epoch.
        network: the frame of the networks.
        device: where they live.
    """

    splits: Splits
    run: RunDirectory
    loop: LoopOptions
    network: NetworkOptions
    device: torch.device


class TrainingCommand(Protocol):
    """The options of a script that trains."""

    @property
    def data(self) -> DataOptions:
        """Where the data are."""

    @property
    def run(self) -> RunOptions:
        """Where results go."""


def set_up(
    options: TrainingCommand,
    method: str,
    *,
    extra: Mapping[str, Any] | None = None,
    supernet: SupernetOptions | None = None,
    elsewhere: str | None = None,
) -> Setup:
    """Opens data and run directory, seeds torch, picks the device.

    Args:
        options: every flag of the script; of searched networks also frame and training.
        method: first part of the genotype's file name.
        extra: more configuration that must stay the same when the run is resumed.
        supernet: how supernets are evaluated.
        elsewhere: the type of device on which other processes train for this one.

    Raises:
        ValueError: for whatever is wrong with a flag, a file or the folder.
    """
    data, device = options.data, pick_device("cpu" if elsewhere else options.run.device)
    splits = load_splits(
        data.train_directory, data.valid_directory, cache_dir=data.cache_dir, seq_size=data.seq_size
    )
    _check_statistics(supernet, splits)
    size = {"seq_size": splits.train.seq_size, "num_targets": splits.train.num_targets}
    searched = options if isinstance(options, SearchOptions) else None
    network = searched.network.network(**size) if searched else NetworkOptions(**size)
    kind = elsewhere or device.type
    run = RunDirectory(
        options.run.save_dir,
        save=options.run.save,
        method=method,
        config={**_configuration(options, splits, kind), **(extra or {})},
        device=device,
        restart=options.run.restart,
    )
    if not os.path.exists(data.test_directory):  # never raises, for a closed folder say
        log.info("--test_directory %s: no such file yet; only a test needs it", data.test_directory)
    seed_everything(options.run.seed)
    set_arithmetic(options.run, device)
    ranks.check_shares(min(data.batch_size, splits.train.num_sequences))
    for split in splits:
        split.to_device(device)
    weights = searched.weights if searched else None
    loop = LoopOptions.of(data, options.run, device, weights=weights, supernet=supernet)
    return Setup(splits, run, loop, network, device)


def _check_statistics(supernet: SupernetOptions | None, splits: Splits) -> None:
    if supernet and supernet.rhn_statistics == "batch" and splits.valid.num_sequences < 2:
        raise ValueError(
            f"{splits.valid.path}: 1 sequence has no batch statistics; expected 2 or more, or "
            "--rhn_statistics=running"
        )


def _configuration(options: TrainingCommand, splits: Splits, kind: str) -> dict[str, Any]:
    """Every flag and what else must stay the same when the run is resumed.

    `kind` is that of the device which trains.
    """
    prints = {f"data of --{n}_directory": s.fingerprint for n, s in splits._asdict().items()}
    more = {"compile": compile_mode(options.run, torch.device(kind)), "kind of device": kind}
    return {**as_config(options), **more, **prints}


def pick_device(name: str, *, flag: str = "--device") -> torch.device:
    """The device of the value of a flag.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if ranks.count() > 1 and ":" in name:
        raise ValueError(f"{flag} {name}: each rank takes its own; expected cpu, cuda or auto")
    if name.partition(":")[0] not in {"cpu", "cuda"}:
        raise ValueError(f"{flag} {name}: expected cpu, cuda, cuda:1 ... or auto")
    try:
        device = torch.device(ranks.own_device(name))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{flag} {name}: not usable on this machine ({reason})") from error
    return device


def seed_everything(seed: int) -> None:
    """Seeds torch, on every device, and asks it for repeatable kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Every kernel writes what it allocates; filling it first costs 5-10 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Lets glibc keep the memory of large activations between steps; elsewhere nothing changes.

    Else it would be mapped and zeroed anew at every step. For the main thread, which computes,
    mapping is switched off: older versions (2.31, say) refuse a threshold of it above 32 MB and
    would stay at 128 kB. And nothing is ever trimmed.
    """
    with contextlib.suppress(OSError, AttributeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_MMAP_MAX, 0)
        allocator.mallopt(_TRIM_THRESHOLD, -1)


def run_command(main: Callable[[], None]) -> None:
    """Runs a script and leaves with its exit code.

    0: all is done; 2: bad input, one line says what; 3: the training diverged; 4: another rank of
    torchrun's has died; 128 and the signal's number: stopped by it, the same command goes on.
    """
    keep_descriptors()
    # A notebook's `!python` inherits a backend that may be missing here; pictures need none.
    os.environ.pop("MPLBACKEND", None)
    # A run resumed between its last step and its epoch's end moves the schedule first, rightly.
    warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
    keep_freed_memory()
    try:
        on_stop(stop_at_once)  # until the run's directory saves first
        STDERR.quiet = ranks.start() > 0
        main()
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        _say_why(error)
        ranks.leave(DIVERGED if isinstance(error, Diverged) else BAD_INPUT)
    except ranks.LostRank as error:
        _say_why(error)
        ranks.leave(LOST_RANK)
    except Stopped as stop:
        log.warning("%s", stop)
        sys.exit(SIGNAL_EXIT + stop.number)


def _say_why(error: Exception) -> None:
    """One line, of the first rank that fails."""
    reason = _reason(error)
    STDERR.quiet = not ranks.may_report()
    say(reason)


def _reason(error: Exception) -> str:
    """What is wrong with a script's input.

    Raises:
        RuntimeError: nothing is, it is a fault of ours.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    # torch has no type of its own for what the computer's memory can't hold.
    if isinstance(error, RuntimeError) and not _OUT_OF_MEMORY.search(f"{error}"):
        raise error
    if isinstance(error, MemoryError | RuntimeError):
        return f"out of memory; try a smaller network or --batch_size ({error})"
    return f"{error}"
