"""The checklist of Lindauer and Hutter (JMLR 21:243, 2020), filled in as far as it is known.

The questions are theirs in our words; what only the authors of a paper know is asked.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.comparison.arm_summary import ArmSummary
from benchmarks.comparison.page import Table
from benchmarks.comparison.records import SEARCH
from benchmarks.comparison.significance import MIN_SEEDS
from benchmarks.comparison.summary import RANDOM_SEARCH, Summary
from benchmarks.comparison.tables import BUDGET_TOLERANCE, budget_ratio

YES, NO, PARTLY, ASKED = "yes", "no", "in part", "please answer"


class Answer(NamedTuple):
    """A question with its answer and what that rests on."""

    question: str
    answer: str
    ground: str


def checklist(summary: Summary, facts: Mapping[str, object]) -> list[Answer]:
    """All questions with their answers.

    Args:
        summary: of the comparison.
        facts: what is fixed by name, flattened.
    """
    return [
        Answer(f"{area}: {question}", *answer)
        for area, answers in (
            ("Code", _code(facts)),
            ("Comparison", _comparison(summary, facts)),
            ("Report", _reporting(summary, facts)),
        )
        for question, *answer in answers
    ]


def checklist_table(answers: Sequence[Answer]) -> Table:
    """The checklist as a table."""
    return Table(
        title="Checklist of Lindauer and Hutter (JMLR 21:243) for research on architecture search",
        columns=("question", "answer", "what is known"),
        rows=answers,
        words=(0, 1, 2),
        note=f"“{ASKED}” marks what this comparison can't know about your work.",
    )


def _code(facts: Mapping[str, object]) -> list[Answer]:
    version = _known(facts, "code version")
    here = f"this project has it{version}; say where your copy of it is"
    flags = "flags" if any("flags" in name for name in facts) else ""
    recorded = "every run's folder records its flags and seed; publish it with the paper"
    return [
        Answer("is the training pipeline of the final networks public?", ASKED, here),
        Answer("is the code of the search space public?", ASKED, here),
        Answer("is the code of the searches public?", ASKED, here),
        Answer(
            "are hyperparameters and seeds of final training and searches given?",
            YES if flags else PARTLY,
            recorded + ("" if flags else "; the flags were not handed to this report"),
        ),
    ]


def _comparison(summary: Summary, facts: Mapping[str, object]) -> list[Answer]:
    data, device = _known(facts, "data"), _known(facts, "device", "machine", "threads")
    versions = _known(facts, "torch", "version")
    curves = sorted({record.arm for record in summary.records if record.anytime})
    few = [arm.arm for arm in summary.arms if arm.scores["test_auprc"].number < MIN_SEEDS]
    seeds = f"fewer than {MIN_SEEDS} seeds done: {', '.join(few)}" if few else _seeds(summary.arms)
    alike = "a comparison refuses runs with other data, frame or final training"
    random = _random_search(summary)
    return [
        Answer(
            "same data, splits, search space and final training for all?",
            YES if data else ASKED,
            f"{alike}{data}" if data else "the data were not handed to this report",
        ),
        Answer(
            "are confounders controlled (hardware, versions, run time)?",
            YES if device and versions and _equal_budget(summary) else PARTLY,
            f"{_budget(summary)}{device}{versions}",
        ),
        Answer("were ablations made?", ASKED, ""),
        Answer(
            "same evaluation protocol for all?",
            YES,
            "validation data decide, the test set is read once per finished network",
        ),
        Answer(
            "is performance over time compared?",
            YES if curves else NO,
            f"anytime curves of {', '.join(curves)}" if curves else "no run wrote a curve",
        ),
        Answer("is random search among the methods?", YES if random else NO, random),
        Answer("several runs with different seeds?", PARTLY if few else YES, seeds),
        Answer("are tabular or surrogate benchmarks used for deeper study?", ASKED, ""),
    ]


def _reporting(summary: Summary, facts: Mapping[str, object]) -> list[Answer]:
    lacking = [arm.arm for arm in summary.arms if arm.costs.total is None]
    whole = "search and final training of every arm are in the table of costs"
    setup = "see the set-up below" if facts else "no facts were handed to this report"
    return [
        Answer("how were hyperparameters tuned, and at what cost?", ASKED, ""),
        Answer(
            "is the time of the whole method given, not only of the search?",
            PARTLY if lacking else YES,
            f"unknown for {', '.join(lacking)}" if lacking else whole,
        ),
        Answer("are all details of the set-up given?", PARTLY if facts else ASKED, setup),
    ]


def _known(facts: Mapping[str, object], *words: str) -> str:
    """The names of facts that hold one of the words, as something to add to a sentence."""
    names = [name for name in facts if any(word in name.lower() for word in words)]
    return f"; recorded: {', '.join(names)}" if names else ""


def _seeds(arms: Sequence[ArmSummary]) -> str:
    return "; ".join(f"{arm.arm} {arm.scores['test_auprc'].number}" for arm in arms)


def _random_search(summary: Summary) -> str:
    return f"arm {RANDOM_SEARCH}" if any(a.arm == RANDOM_SEARCH for a in summary.arms) else ""


def _equal_budget(summary: Summary) -> bool:
    ratios = [budget_ratio(arm) for arm in summary.arms if arm.kind == SEARCH]
    return all(ratio is not None and abs(ratio - 1) <= BUDGET_TOLERANCE for ratio in ratios)


def _budget(summary: Summary) -> str:
    limit = f"±{100 * BUDGET_TOLERANCE:.0f} %"
    if _equal_budget(summary):
        return f"search cost of all searches within {limit} of the plan"
    return f"search cost of some searches is unknown or not within {limit} of the plan"
