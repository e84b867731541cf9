"""Scores of sampled architectures: who is best, and the table of all."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from generalNAS_tools.runs.run_directory import Diverged, RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype


class Score(NamedTuple):
    """What a candidate reached.

    Attributes:
        f1: on the validation set after its last epoch; NaN if it diverged.
        valid_loss: likewise.
        parameters: number of them.
        epochs: that it trained, the one in which it diverged left out.
        seconds: that they took.
    """

    f1: float
    valid_loss: float
    parameters: int
    epochs: int
    seconds: float


class Scores:
    """The candidates' scores so far, by number; a state for checkpoints."""

    def __init__(self) -> None:
        self._scores: dict[int, Score] = {}

    def __getitem__(self, number: int) -> Score:
        return self._scores[number]

    def __setitem__(self, number: int, score: Score) -> None:
        self._scores[number] = score

    def best(self, numbers: Iterable[int], keep: int) -> list[int]:
        """Up to `keep` of these candidates, best first; those that diverged are out."""
        alive = [number for number in numbers if not self._diverged(number)]
        return sorted(alive, key=self._rank)[:keep]

    def ranking(self) -> list[int]:
        """All candidates: who trained longest first, by F1 among these; the diverged last."""

        def place(number: int) -> tuple[bool, int, tuple[float, float, int]]:
            return self._diverged(number), -self[number].epochs, self._rank(number)

        return sorted(self._scores, key=place)

    def winner(self) -> int:
        """The first of the ranking.

        Raises:
            Diverged: all candidates did.
        """
        first = self.ranking()[0]
        if self._diverged(first):
            raise Diverged(
                f"all {len(self._scores)} candidates diverged",
                "try --restart with a lower --rhn_lr, --cnn_lr or --clip",
            )
        return first

    def write(self, run: RunDirectory, genotypes: Sequence[Genotype]) -> None:
        """Writes the table scores-<save>.csv, best first."""
        rows = [
            {
                "rank": rank,
                "candidate": number + 1,
                **self[number]._asdict(),
                "genotype": genotypes[number].to_json(),
            }
            for rank, number in enumerate(self.ranking(), 1)
        ]
        run.files.write_table("scores", rows)

    def state_dict(self) -> dict[str, Any]:
        """Plain tuples by number."""
        return {"scores": {number: tuple(score) for number, score in self._scores.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes a state back."""
        self._scores = {number: Score(*values) for number, values in state["scores"].items()}

    def _rank(self, number: int) -> tuple[float, float, int]:
        """Highest F1 first; a tie goes to the lower loss, then to the lower number.

        Ties are common: after few epochs on rare labels F1 is still 0.
        """
        if self._diverged(number):  # NaN has no order; the number alone decides
            return 0.0, 0.0, number
        return -self[number].f1, self[number].valid_loss, number

    def _diverged(self, number: int) -> bool:
        return math.isnan(self[number].f1)
