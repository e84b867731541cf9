"""What a user adds to the command lines of a comparison leaves alone what the comparison sets."""

import shlex
from collections.abc import Sequence

from benchmarks.comparison.arms import SEARCHES
from benchmarks.comparison.calibration import CALIBRATED
from benchmarks.comparison.facts import FRAME, PATHS
from benchmarks.comparison.options import ComparisonOptions
from benchmarks.comparison.work import Sizes

_OWN = {"save_dir", "save", "seed", "device", "model", "genotype_file"}
_ALL = _OWN | {*PATHS, "seq_size", "batch_size"}
"""Of every script; final trainings may differ from searches in frame and steps an epoch."""


def check_added(chosen: ComparisonOptions, arms: Sequence[str]) -> None:
    """Refuses flags that the comparison itself sets.

    Raises:
        ValueError: naming them, or a text that isn't words.
    """
    searches = [SEARCHES[name] for name in arms if name in SEARCHES]
    lengths = {"num_steps", *FRAME, *CALIBRATED}
    for search in searches:
        lengths |= {*search.calibration, *search.shapes(1, Sizes(1, 1, 1, 1))[0].flags}
    for name, taken in (("search", _ALL | lengths), ("final", _ALL), ("baseline", _ALL)):
        text = getattr(chosen, f"{name}_flags")
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ValueError(f"--{name}_flags {text!r}: {error}; expected flags") from error
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        if twice := [word for word in given if word[2:].removeprefix("no-") in taken]:
            raise ValueError(
                f"--{name}_flags {text!r}: expected none that the comparison itself sets, but "
                f"there is {', '.join(twice)}"
            )
