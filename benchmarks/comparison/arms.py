"""The arms of a comparison: every search with its script and the way a budget becomes its flags.

A further search is one more line in `SEARCHES`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from baseline_models.networks import BASELINES
from benchmarks.comparison.records import BASELINE, ONE_ARCHITECTURE, RANDOM_AVERAGE, SEARCH
from benchmarks.comparison.work import Part, Shape, Sizes, training
from randomSearch_and_Hyperband_Tools.halving import hyperband_plans, plan_epochs
from randomSearch_and_Hyperband_Tools.osp_masks import planned_rounds

FINAL, TEST = (f"generalNAS_tools/{name}_finalArchitecture.py" for name in ("train", "test"))
TRAIN_BASELINE = "baseline_models/train_baseline.py"
ARCHIVE_KIND, PROPOSAL_KIND = "score", "proposal"
"""Kinds of work that no row of a history stands for: scoring a subnet, and choosing the next."""

RECALIBRATION = 10
"""Training batches for the BatchNorm statistics of a subnet, in a calibration."""
_OSP_START, _OSP_DRAWN = 108, 26
"""Operations a mask, and removals a round, of OSP's calibration."""
_PROPOSED = 1000
"""Candidates that BONAS proposes in a round by default."""
MOST = 90_000
"""The largest scale: no search may draw many more architectures."""


class Search(NamedTuple):
    """A search algorithm as an arm.

    Attributes:
        script: at the top of the project.
        method: first part of its genotype's file name.
        shapes: the lengths that a search can have, from the shortest; several of one scale stand
            in order of preference.
        calibration: flags of a run in which each kind of its epochs occurs several times.
    """

    script: str
    method: str
    shapes: Callable[[int, Sizes], Sequence[Shape]]
    calibration: Mapping[str, Any]


def one_supernet(scale: int, sizes: Sizes, *, frozen: float) -> list[Shape]:
    """One supernet whose alphas stay for the first part of the epochs; `scale` epochs."""
    first = round(frozen * scale)
    parts = [
        training("frozen", first, sizes),
        training("alpha", scale - first, sizes, passes=2),
    ]
    return [Shape({"epochs": scale, "frozen_epochs": first}, parts)]


def stages(
    scale: int, sizes: Sizes, *, epochs: Sequence[int], frozen: Sequence[int]
) -> list[Shape]:
    """Stages in the proportion of `epochs`, `frozen` of them without alpha steps."""
    lengths = _shares(scale + len(epochs) - 1, epochs)
    still = [
        length * part // whole for length, part, whole in zip(lengths, frozen, epochs, strict=True)
    ]
    parts = []
    for number, (length, first) in enumerate(zip(lengths, still, strict=True), start=1):
        parts.append(training(f"stage {number} frozen", first, sizes))
        parts.append(training(f"stage {number} alpha", length - first, sizes, passes=2))
    return [Shape({"epochs": lengths, "frozen_epochs": still}, parts)]


def rounds_of_removals(scale: int, sizes: Sizes) -> list[Shape]:
    """OSP: `scale` epochs a round and twice as many at first; fewer, larger rounds when short."""
    shapes = []
    for drawn in (7, 13, 26, 51, 101):
        rounds = planned_rounds(_OSP_START, drawn)
        left = [max(9, _OSP_START - number * (drawn - 1)) for number in range(rounds + 1)]
        parts: list[Part] = []
        for number, operations in enumerate(left):
            epochs = scale if number else 2 * scale
            tried = min(drawn, operations - 8) if number < rounds else 18
            for kind, share in _between_rounds(operations).items():
                part = training(kind, share * epochs, sizes)
                extra = share * tried * sizes.batches()
                parts.append(part._replace(batches=part.batches + extra))
        flags = {"budget": scale, "pretrain_epochs": 2 * scale, "epochs": 12 * scale}
        shapes.append(Shape({**flags, "num_init_archs": _OSP_START, "num_ops": drawn}, parts))
    return shapes


def bayesian_rounds(scale: int, sizes: Sizes) -> list[Shape]:
    """BONAS: three rounds of `scale` architectures and as many epochs, a quarter as a whole."""
    epochs, rounds = scale + 1, 3
    whole = max(1, epochs // 4)
    recalibration = min(50, sizes.steps())
    scored = rounds * min(epochs, _PROPOSED) * (recalibration + sizes.batches())
    subnets = training("subnets", rounds * (epochs - whole), sizes, larger=2)
    parts = [
        training("supernet", rounds * whole, sizes),
        subnets._replace(batches=0),
        Part(ARCHIVE_KIND, batches=scored),
        Part(PROPOSAL_KIND, batches=rounds),
    ]
    flags = {
        "epochs": epochs,
        "train_supernet_epochs": whole,
        "iterations": rounds - 1,
        "bo_sample_num": min(epochs, _PROPOSED),
        "recalibration_steps": recalibration,
        "super_batch_size": sizes.batch_size,
        "sub_batch_size": 2 * sizes.batch_size,
    }
    return [Shape(flags, parts)]


def candidates(scale: int, sizes: Sizes) -> list[Shape]:
    """Random search: `scale` + 1 architectures, seven epochs each; a little more or less fits."""
    number = scale + 1
    return [
        Shape(
            {"num_samples": number, "epochs": epochs},
            [training("candidate", number * epochs, sizes)],
        )
        for epochs in (7, 6, 8, 5, 9, 4, 3, 2, 1)
    ]


def halving(scale: int, sizes: Sizes) -> list[Shape]:
    """Hyperband: the seed's three halvings; fewer, or shorter rungs, where those are too long."""
    shapes = []
    for iterations, budget in itertools.product((3, 2, 1), (3, 2, 4, 1)):
        number = 2**iterations + scale - 1
        rungs = {"budget": budget, "iterations": iterations}
        (plan,) = hyperband_plans(number, **rungs, brackets=1)
        # The cosine is as long as in the seed's command: 20 for three halvings of 3 epochs.
        flags = {"num_samples": number, **rungs, "epochs": round(20 / 9 * budget * iterations)}
        shapes.append(Shape(flags, [training("candidate", plan_epochs(plan), sizes)]))
    return shapes


_STAGED = {"epochs": 6, "frozen_epochs": 3}
_SAMPLED = {"num_samples": 8, "epochs": 4}
SEARCHES = {
    "darts": Search(
        "train_genomicDARTS.py",
        "darts",
        partial(one_supernet, frozen=0.1),
        {"epochs": 8, "frozen_epochs": 4},
    ),
    "pdarts": Search(
        "train_genomicPDARTS.py",
        "pdarts",
        partial(stages, epochs=(25, 25, 25), frozen=(10, 10, 10)),
        _STAGED,
    ),
    "cwp_darts": Search(
        "train_genomicCWP_DARTS.py",
        "cwp_darts",
        partial(stages, epochs=(25, 15, 15), frozen=(15, 3, 3)),
        _STAGED,
    ),
    "dep_darts": Search(
        "train_genomicDEP_DARTS.py",
        "dep_darts",
        partial(stages, epochs=(25, 25, 25), frozen=(10, 10, 10)),
        _STAGED,
    ),
    "osp": Search(
        "train_genomicOSP_NAS.py",
        "osp",
        rounds_of_removals,
        {"num_init_archs": _OSP_START, "num_ops": _OSP_DRAWN, "budget": 3, "pretrain_epochs": 3},
    ),
    "bonas": Search(
        "train_genomicBONAS.py",
        "bonas",
        bayesian_rounds,
        {
            "epochs": 8,
            "train_supernet_epochs": 4,
            "iterations": 1,
            "bo_sample_num": 16,  # a supernet nearly as large as that of more
            "recalibration_steps": RECALIBRATION,
        },
    ),
    "random": Search("train_genomicRandom.py", "random", candidates, _SAMPLED),
    "hyperband": Search(
        "train_genomicHyperbandNAS.py", "hb", halving, _SAMPLED | {"iterations": 1, "budget": 4}
    ),
}
"""Every search by the name of its arm."""


def kind_of_arm(name: str) -> str:
    """What an arm is, one of `KINDS`.

    Raises:
        ValueError: there is no such arm.
    """
    drawn = (RANDOM_AVERAGE, ONE_ARCHITECTURE)
    if name in drawn:
        return name
    if name in SEARCHES:
        return SEARCH
    if name in BASELINES:
        return BASELINE
    expected = ", ".join([*SEARCHES, *drawn, *BASELINES])
    raise ValueError(f"--methods, --baselines: no arm is called {name!r}; expected {expected}")


def all_shapes(search: Search, sizes: Sizes) -> Iterator[Sequence[Shape]]:
    """The shapes of a search by scale, from 1 on."""
    return (search.shapes(scale, sizes) for scale in range(1, MOST + 1))


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers, each at least 1, that sum to `total` in the proportion of the weights."""
    spare = total - len(weights)
    exact = [spare * weight / sum(weights) for weight in weights]
    parts = [int(value) for value in exact]
    order = sorted(range(len(parts)), key=lambda i: parts[i] - exact[i])
    for i in order[: spare - sum(parts)]:
        parts[i] += 1
    return [1 + part for part in parts]


def _between_rounds(operations: int) -> dict[str, float]:
    """The calibrated rounds of OSP on both sides of a supernet, each with its share."""
    rounds = planned_rounds(_OSP_START, _OSP_DRAWN)
    place = min(rounds, (_OSP_START - operations) / (_OSP_DRAWN - 1))
    low = int(place)
    shares = {low: 1 - (place - low), min(rounds, low + 1): place - low}
    return {f"round {number}": share for number, share in shares.items() if share}
