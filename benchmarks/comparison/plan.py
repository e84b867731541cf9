"""The plan: what each arm gets of the budget, and what must stay the same within a comparison.

It is written before anything runs, may be edited, and is only ever added to.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.comparison.arms import MOST, Search, all_shapes
from benchmarks.comparison.work import UNITS, Cost, Shape, Sizes, amount
from generalNAS_tools.files.atomic_files import atomic_write, reading

CLOSE = 0.03
"""Of shapes that come this close to the budget, the first is taken."""
TOLERANCE = 0.15
"""How far from the budget a shape may lie at most."""


class Plan:
    """The file plan.json of a comparison.

    Args:
        folder: of the comparison.

    Attributes:
        fixed: by name, what must not differ between its runs.
        arms: by name, each with `kind`, `flags` and the `planned` amounts by unit.
        threads: CPU threads of every process; results may depend on it.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "plan.json"
        self.fixed: dict[str, Any] = {}
        self.arms: dict[str, dict[str, Any]] = {}
        self.threads: int | None = None
        if self.path.exists():
            with reading(self.path, "a plan"):
                state = json.loads(self.path.read_text(encoding="utf-8"))
                self.fixed, self.arms = dict(state["fixed"]), dict(state["arms"])
                self.threads = int(state["threads"])
                for arm in self.arms.values():
                    arm["kind"], dict(arm["flags"])

    def check(self, **facts: Any) -> None:
        """Takes over what is fixed from now on, and refuses what differs from before.

        Raises:
            ValueError: naming what differs.
        """
        for name, now in json.loads(json.dumps(facts)).items():
            before = self.fixed.setdefault(name, now)
            if before != now:
                raise ValueError(
                    f"{self.path}: the comparison was started with {name} {_short(before)}, now "
                    f"it is {_short(now)}; give what it was, or another --save_dir"
                )

    def write(self) -> None:
        """Writes the file.

        Raises:
            ValueError: it can't be written.
        """
        state = {"fixed": self.fixed, "threads": self.threads, "arms": self.arms}
        with atomic_write(self.path) as file:
            file.write(json.dumps(state, indent=1).encode() + b"\n")


def fit(
    search: Search,
    name: str,
    *,
    budget: float,
    unit: str,
    costs: Mapping[str, Cost],
    sizes: Sizes,
) -> Shape:
    """The length of a search that takes as much as the budget gives.

    Args:
        search: the algorithm.
        name: of its arm.
        budget: in `unit`.
        unit: one of `UNITS`.
        costs: of the kinds of its steps.
        sizes: of an epoch.

    Raises:
        ValueError: no length comes near enough; says what the nearest takes.
    """
    longest = max(amount(shape, unit, costs) for shape in search.shapes(MOST, sizes))
    if longest < budget:
        raise ValueError(
            f"--budget {budget:g}: more than {name} can use; its longest takes {longest:.4g} {unit}"
        )
    nearest: tuple[tuple[float, int, float], Shape] | None = None
    for shapes in all_shapes(search, sizes):
        taken = [amount(shape, unit, costs) / budget for shape in shapes]
        for order, (shape, part) in enumerate(zip(shapes, taken, strict=True)):
            off = abs(part - 1)
            key = (max(CLOSE, off), order, off)
            if nearest is None or key < nearest[0]:
                nearest = key, shape
        if min(taken) > 1 + TOLERANCE:
            break
    assert nearest is not None
    if nearest[0][2] > TOLERANCE:
        takes = amount(nearest[1], unit, costs)
        raise ValueError(
            f"--budget {budget:g}: {name} can't be that short or fit so closely; the nearest takes "
            f"{takes:.4g} {unit} (fewer --num_steps make its epochs shorter)"
        )
    return nearest[1]


def planned(shape: Shape, costs: Mapping[str, Cost]) -> dict[str, Any]:
    """What plan.json holds of a search: its flags, and what it takes in every unit."""
    amounts = {unit: round(amount(shape, unit, costs), 3) for unit in UNITS}
    return {"flags": dict(shape.flags), "planned": amounts}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "…"
