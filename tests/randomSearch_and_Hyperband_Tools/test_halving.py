import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randomSearch_and_Hyperband_Tools.halving import (
    Rung,
    halving_plan,
    hyperband_plans,
    plan_epochs,
)


def test_plan_of_the_documented_command():
    plan = halving_plan(25, budget=3, iterations=3)
    assert plan == [Rung(25, 12, 3), Rung(12, 6, 6), Rung(6, 3, 9), Rung(3, 1, 12)]
    assert plan_epochs(plan) == 3 * (25 + 12 + 6 + 3) == 138


@given(st.integers(1, 8), st.integers(0, 500), st.integers(1, 50))
def test_every_rung_halves(iterations, extra, budget):
    plan = halving_plan(2**iterations + extra, budget=budget, iterations=iterations)
    assert len(plan) == iterations + 1
    assert all(rung.survivors == rung.candidates // 2 >= 1 for rung in plan[:-1])
    assert all(a.survivors == b.candidates for a, b in pairwise(plan))
    assert [rung.epochs for rung in plan] == [budget * (i + 1) for i in range(iterations + 1)]


@pytest.mark.parametrize(
    ("num_samples", "budget", "iterations", "message"),
    [
        (7, 3, 3, "--num_samples 7 is too few for --iterations 3 halvings; expected at least 8"),
        (0, 3, 3, "--num_samples 0: expected at least 1"),
        (25, 0, 3, "--budget 0: expected at least 1"),
        (25, -2, 3, "--budget -2: expected at least 1"),
        (25, 3, 0, "--iterations 0: expected at least 1"),
    ],
)
@pytest.mark.parametrize("brackets", [1, 2])
def test_impossible_plans_get_one_line(num_samples, budget, iterations, message, brackets):
    with pytest.raises(ValueError, match=f"^{message}$"):
        hyperband_plans(num_samples, budget=budget, iterations=iterations, brackets=brackets)


def test_one_bracket_is_successive_halving():
    default = halving_plan(25, budget=3, iterations=3)
    assert hyperband_plans(25, budget=3, iterations=3, brackets=1) == [default]


def test_three_brackets_of_the_documented_command():
    """138 epochs to spend, R = 12; the shares are 138/3 = 46, 102/2 = 51 and 60 epochs."""
    assert hyperband_plans(25, budget=3, iterations=3, brackets=3) == [
        [Rung(7, 3, 3), Rung(3, 1, 6), Rung(1, 1, 12)],  # 7·3 + 3·3 + 1·6 = 36
        [Rung(5, 2, 6), Rung(2, 1, 12)],  # 5·6 + 2·6 = 42
        [Rung(5, 2, 12)],  # 5·12 = 60
    ]


@given(st.integers(4, 2000), st.integers(1, 20), st.integers(1, 6), st.integers(2, 7))
@settings(deadline=None, derandomize=True)
def test_brackets_spend_the_default_total(num_samples, budget, iterations, brackets):
    if num_samples < 2**iterations:
        num_samples += 2**iterations
    total = plan_epochs(halving_plan(num_samples, budget=budget, iterations=iterations))
    longest = budget * 2 ** (brackets - 1)
    try:
        plans = hyperband_plans(
            num_samples, budget=budget, iterations=iterations, brackets=brackets
        )
    except ValueError:
        # Refused only if the first bracket's least cost, R(1 + s/2), is over its share.
        assert longest * (1 + (brackets - 1) / 2) > total / brackets
        return
    assert total - longest < sum(map(plan_epochs, plans)) <= total
    assert [len(plan) for plan in plans] == list(range(brackets, 0, -1))
    for plan in plans:
        s = len(plan) - 1
        assert plan[0].candidates >= 2**s
        assert [rung.epochs for rung in plan] == [longest // 2 ** (s - i) for i in range(s + 1)]
        for i, rung in enumerate(plan):
            assert rung.candidates == plan[0].candidates // 2**i  # Algorithm 1's n_i


def test_large_budgets_share_as_algorithm_1_does():
    """With much to spend, n_s is proportional to 2^s/(1 + s/2), the resumed form of 2^s/(s+1)."""
    plans = hyperband_plans(10**5, budget=1, iterations=3, brackets=4)
    per_bracket = [plan[0].candidates for plan in plans]
    for s, candidates in zip((3, 2, 1, 0), per_bracket, strict=True):
        assert math.isclose(candidates / per_bracket[-1], 2**s / (1 + s / 2), rel_tol=1e-3)


def test_too_many_brackets_get_one_line():
    message = (
        r"^--brackets 4 with --budget 3 needs 240 epochs in all; "
        r"--num_samples 25 and --iterations 3 give 138$"
    )
    with pytest.raises(ValueError, match=message):
        hyperband_plans(25, budget=3, iterations=3, brackets=4)
    with pytest.raises(ValueError, match=r"^--brackets 0: expected at least 1$"):
        hyperband_plans(25, budget=3, iterations=3, brackets=0)
