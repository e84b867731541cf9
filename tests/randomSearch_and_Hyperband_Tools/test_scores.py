import csv
import math

import numpy as np
import pytest

from generalNAS_tools.runs.run_files import RunFiles
from randomSearch_and_Hyperband_Tools.halving import halving_plan
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from randomSearch_and_Hyperband_Tools.score_pictures import draw_halving, draw_scores
from randomSearch_and_Hyperband_Tools.scores import Score, Scores


def score(auprc, epochs=1, loss=0.6, parameters=100):
    """A score whose F1 and AUROC would rank the other way round."""
    loss = math.nan if math.isnan(auprc) else loss
    return Score(1 - auprc, 1 - auprc, auprc, loss, parameters, epochs, 1.5)


def scores_of(*pairs, criterion="auprc"):
    scores = Scores(criterion)
    for number, (auprc, epochs, *loss) in enumerate(pairs):
        scores[number] = score(auprc, epochs, *loss[:1], parameters=100 + number)
    return scores


@pytest.mark.parametrize(
    ("criterion", "ranking"),
    [("auprc", [1, 0, 2]), ("auroc", [2, 0, 1]), ("f1", [2, 0, 1]), ("loss", [0, 2, 1])],
)
def test_the_criterion_ranks(criterion, ranking):
    scores = scores_of((0.5, 1, 0.1), (0.6, 1, 0.3), (0.4, 1, 0.2), criterion=criterion)
    assert scores.ranking() == ranking


def test_a_tie_for_the_first_place_is_logged(caplog):
    assert scores_of((0.5, 1, 0.3), (0.5, 1, 0.2), (0.4, 1)).log_winner() == 1
    assert "2 candidates tie for the first place with validation AUPRC 0.5000" in caplog.text
    caplog.clear()
    assert scores_of((0.5, 1), (0.6, 1)).log_winner() == 1
    assert "tie" not in caplog.text


def test_a_score_that_is_undefined_is_the_worst():
    scores = scores_of((0.1, 1), (0.2, 1))
    scores[2] = Score(0.9, None, None, 0.1, 1, 1, 1.5)
    assert scores.ranking() == [1, 0, 2]


def test_who_trained_longest_ranks_first():
    scores = scores_of((0.9, 1), (0.2, 3), (0.5, 3), (math.nan, 3), (0.95, 1), (0.5, 3))
    assert scores.ranking() == [2, 5, 1, 4, 0, 3]
    assert scores.winner() == 2


def test_the_best_of_some():
    scores = scores_of((0.9, 1), (0.2, 1), (math.nan, 1), (0.5, 1))
    assert scores.best([1, 2, 3], 2) == [3, 1]
    assert scores.best([1, 2, 3], 3) == [3, 1]
    assert scores.best([2], 1) == []


def test_the_loss_decides_between_equals():
    scores = scores_of((0.0, 1, 0.5), (0.0, 1, 0.3), (0.1, 1, 0.9), (0.0, 1, 0.3))
    assert scores.best(range(4), 3) == [2, 1, 3]
    assert scores.ranking() == [2, 1, 3, 0]


def test_the_best_come_best_first():
    assert scores_of((0.1, 1), (0.9, 1), (0.5, 1), (0.7, 1)).best(range(4), 3) == [1, 3, 2]


def test_ties_go_to_the_lower_number_whatever_the_order():
    scores = Scores("auprc")
    for number, auprc in ((4, 0.5), (2, 0.5), (9, 0.5), (7, 0.6)):
        scores[number] = score(auprc)
    assert scores.best([4, 2, 9, 7], 3) == [7, 2, 4]
    assert scores.ranking() == [7, 2, 4, 9]


def test_ties_go_to_the_lower_loss():
    scores = scores_of((0.0, 1, 0.5), (0.0, 1, 0.4), (0.1, 1, 0.9), (0.0, 1, 0.4))
    assert scores.best(range(4), 4) == [2, 1, 3, 0]


def test_diverged_candidates_come_last():
    scores = scores_of((math.nan, 1), (0.0, 1), (math.nan, 1, math.nan), (0.2, 1))
    assert scores.best(range(4), 2) == [3, 1]
    assert scores.ranking() == [3, 1, 0, 2]


def test_no_winner_among_the_diverged():
    with pytest.raises(ValueError, match=r"^all 2 candidates diverged; try --restart"):
        scores_of((math.nan, 0), (math.nan, 2)).winner()


def test_the_state_comes_back():
    scores, other = scores_of((0.9, 1), (0.2, 3)), Scores("auprc")
    other.load_state_dict(scores.state_dict())
    assert other.ranking() == [1, 0]
    assert other[0] == score(0.9)


class Run:
    def __init__(self, folder):
        self.files = RunFiles(str(folder), save="a", method="test")


def test_the_table(tmp_path):
    genotypes = distinct_genotypes(np.random.default_rng(0), 3)
    scores_of((0.1, 1), (math.nan, 0), (0.4, 1)).write(Run(tmp_path), genotypes)
    rows = list(csv.DictReader((tmp_path / "scores-a.csv").read_text().splitlines()))
    assert [(row["rank"], row["candidate"], row["auprc"]) for row in rows] == [
        ("1", "3", "0.4"),
        ("2", "1", "0.1"),
        ("3", "2", "nan"),
    ]
    assert [row["parameters"] for row in rows] == ["102", "100", "101"]
    assert rows[0]["genotype"] == genotypes[2].to_json()


def test_pictures_of_any_outcome(tmp_path):
    """Diverged candidates, rungs without a validation in between, a single rung."""
    scores = scores_of((0.1, 1), (math.nan, 0), (0.4, 2))
    draw_scores(scores, tmp_path / "scores.png")
    history = [
        {"candidate": 1, "valid_auprc": 0.1},
        {"candidate": 3, "valid_auprc": None},
        {"candidate": 3, "valid_auprc": 0.4},
    ]
    plan = halving_plan(3, budget=1, iterations=1)
    draw_halving(history, [plan, plan], 2, criterion="auprc", path=tmp_path / "halving.png")
    for name in ("scores", "halving"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
