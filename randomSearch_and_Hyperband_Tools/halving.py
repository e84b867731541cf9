"""Plans of successive halving and of Hyperband.

Sources: Jamieson & Talwalkar 2016 (successive halving); Li et al. 2018, "Hyperband: A Novel
Bandit-Based Approach to Hyperparameter Optimization", JMLR 18(185), Algorithm 1.
"""

from typing import NamedTuple

ETA = 2
"""Of `ETA` candidates one goes on; Algorithm 1's η."""
MAX_RUNGS = 16
"""More halvings than this need more candidates than any search draws."""


class Rung(NamedTuple):
    """One round of training followed by one selection.

    Attributes:
        candidates: number of architectures that train in this rung.
        survivors: number of them that go on; in the last rung the best of them wins.
        epochs: epochs each of them has trained at the end of the rung, earlier rungs included.
    """

    candidates: int
    survivors: int
    epochs: int


def halving_plan(num_samples: int, *, budget: int, iterations: int) -> list[Rung]:
    """Successive halving: train everyone for `budget` epochs, keep the better half, repeat.

    The better half of an odd number is rounded down, as in Algorithm 1: 25 → 12 → 6 → 3. As in
    2021 those left after the last halving train once more, so there is one rung more than halvings.

    Args:
        num_samples: architectures in the first rung.
        budget: epochs that each candidate trains in each rung.
        iterations: number of halvings.

    Raises:
        ValueError: an argument is below 1, or too few samples for so many halvings.
    """
    flags = {"num_samples": num_samples, "budget": budget, "iterations": iterations}
    for flag, value in flags.items():
        if value < 1:
            raise ValueError(f"--{flag} {value}: expected at least 1")
    if num_samples < ETA**iterations:
        raise ValueError(
            f"--num_samples {num_samples} is too few for --iterations {iterations} halvings; "
            f"expected at least {ETA**iterations}"
        )
    return _rungs(num_samples, [budget * (i + 1) for i in range(iterations + 1)])


def hyperband_plans(
    num_samples: int, *, budget: int, iterations: int, brackets: int
) -> list[list[Rung]]:
    """Plans of all brackets; together they cost no more epochs than `halving_plan`.

    One bracket is `halving_plan` itself. Several are Hyperband (Algorithm 1 with η = 2): with
    K = `brackets` and s = K − 1, …, 0, bracket s trains n_s candidates to R·2^−s epochs, keeps
    the better half, doubles their epochs, and so on until they have R = `budget`·2^(K−1). In the
    first bracket the first rung thus trains `budget` epochs as in the default plan, and the last
    bracket is random search at R epochs.

    Algorithm 1 gives every bracket about the same budget B and takes n_s = ⌈B/R · 2^s/(s+1)⌉. Here
    B is fixed by the default plan's total T, and a survivor trains on instead of anew, so that
    a rung costs n_i·(r_i − r_{i−1}) epochs: n_s is the largest number whose bracket costs no more
    than an equal share of what the brackets before it left over. The last bracket is filled
    up in steps of R, so the sum lies in (T − R, T].

    Raises:
        ValueError: as `halving_plan`, `brackets` below 1, or T too small for so many brackets.
    """
    default = halving_plan(num_samples, budget=budget, iterations=iterations)
    if brackets < 1:
        raise ValueError(f"--brackets {brackets}: expected at least 1")
    if brackets == 1:
        return [default]
    left = plan_epochs(default)
    # The smallest bracket s has 2^s candidates and costs R(1 + s/2); s = K − 1 is the dearest.
    longest = budget * ETA ** (brackets - 1)
    needed = brackets * (brackets + 1) // 2 * longest
    if left < needed:
        raise ValueError(
            f"--brackets {brackets} with --budget {budget} needs {needed} epochs in all; "
            f"--num_samples {num_samples} and --iterations {iterations} give {left}"
        )
    plans = []
    for s in range(brackets - 1, -1, -1):
        epochs = [longest // ETA**i for i in range(s, -1, -1)]
        candidates = ETA**s
        while plan_epochs(_rungs(candidates + 1, epochs)) * (s + 1) <= left:
            candidates += 1
        plans.append(_rungs(candidates, epochs))
        left -= plan_epochs(plans[-1])
    return plans


def plan_epochs(plan: list[Rung]) -> int:
    """Epochs that a plan trains, summed over candidates."""
    before = [0, *(rung.epochs for rung in plan[:-1])]
    return sum(
        rung.candidates * (rung.epochs - start) for rung, start in zip(plan, before, strict=True)
    )


def _rungs(candidates: int, epochs: list[int]) -> list[Rung]:
    rungs = []
    for cumulative in epochs:
        kept = max(1, candidates // ETA)
        rungs.append(Rung(candidates, kept, cumulative))
        candidates = kept
    return rungs
