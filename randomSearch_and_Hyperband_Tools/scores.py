"""Scores of sampled architectures: who is best, and the table of all."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from generalNAS_tools.runs.criterion import CRITERIA, rank_key
from generalNAS_tools.runs.divergence import Diverged
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype

log = logging.getLogger(__name__)


class Score(NamedTuple):
    """What a candidate reached.

    Attributes:
        f1: on the validation set after its last epoch.
        auroc: likewise, the mean over the targets with both classes; None if there are none.
        auprc: likewise.
        valid_loss: likewise; NaN if it diverged.
        parameters: number of them.
        epochs: that it trained, the one in which it diverged left out.
        seconds: that they took.
    """

    f1: float
    auroc: float | None
    auprc: float | None
    valid_loss: float
    parameters: int
    epochs: int
    seconds: float

    def value(self, criterion: str) -> float | None:
        """What the criterion says of the candidate."""
        figures = {"auprc": self.auprc, "auroc": self.auroc, "loss": self.valid_loss, "f1": self.f1}
        return figures[criterion]


class Scores:
    """The candidates' scores so far, by number; a state for checkpoints.

    Args:
        criterion: what picks the best, a key of CRITERIA.
    """

    def __init__(self, criterion: str) -> None:
        self.criterion = criterion
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
        """All candidates: who trained longest first, the best among these; the diverged last."""

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

    def log_winner(self) -> int:
        """Says who wins, and whether by the criterion alone; gives its number."""
        winner, label = self.winner(), CRITERIA[self.criterion].label
        value = self[winner].value(self.criterion)
        log.info("candidate %d wins with %s %s", winner + 1, label, _text(value))
        tied = [
            number
            for number in self.ranking()
            if self[number].epochs == self[winner].epochs
            and self[number].value(self.criterion) == value
        ]
        if len(tied) > 1:
            log.warning(
                "%d candidates tie for the first place with %s %s; the lower validation loss "
                "decides, then the lower number",
                *(len(tied), label, _text(value)),
            )
        return winner

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
        """Best first; a tie goes to the lower loss, then to the lower number."""
        if self._diverged(number):  # NaN has no order; the number alone decides
            return 0.0, 0.0, number
        score = self[number]
        return *rank_key(self.criterion, score.value(self.criterion), score.valid_loss), number

    def _diverged(self, number: int) -> bool:
        return math.isnan(self[number].valid_loss)


def _text(value: float | None) -> str:
    return "undefined (no target has both classes)" if value is None else f"{value:.4f}"
