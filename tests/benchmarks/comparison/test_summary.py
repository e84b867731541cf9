"""The numbers of a report, against sums made by hand."""

import random
from dataclasses import replace

import pytest

from benchmarks.comparison.records import RunRecord
from benchmarks.comparison.spreads import spread_words
from benchmarks.comparison.summary import summarise
from benchmarks.comparison.words import best_genotypes, budget_words, headline
from tests.benchmarks.comparison.record_cases import comparison, done


def arms(summary):
    return {arm.arm: arm for arm in summary.arms}


def runs(arm, *scores, **more):
    return [done(arm, seed, score, **more) for seed, score in enumerate(scores)]


def test_order_of_records_doesn_t_matter():
    records = comparison(3)
    expected = summarise(records)
    random.Random(0).shuffle(records)
    assert summarise(records) == expected


def test_no_run_is_dropped():
    summary = summarise(comparison(3))
    assert len(summary.records) == len(comparison(3))
    osp = arms(summary)["osp"]
    assert osp.counts == {"done": 0, "failed": 1, "diverged": 1, "running": 0, "missing": 1}
    assert osp.runs == 3
    assert osp.best is osp.worst is osp.mean_rank is osp.costs.spent is None
    assert summary.arms[-1] is osp
    assert "26 runs: 22 done, 1 failed, 1 diverged, 1 running, 1 missing." in headline(summary)[0]


def test_a_diverged_run_s_scores_don_t_count():
    broken = replace(done("darts", 2, 0.9), status="diverged")
    undefined = replace(done("darts", 3, 0.1), test_auprc=float("nan"))
    summary = summarise([*runs("darts", 0.2, 0.4), broken, undefined])
    (arm,) = summary.arms
    assert arm.scores["test_auprc"].mean == pytest.approx(0.3)
    assert arm.scores["test_auprc"].deviation == pytest.approx(0.2 / 2**0.5)
    assert (arm.best.seed, arm.worst.seed, arm.runs) == (1, 0, 4)
    spent = [r.search_seconds + r.final_seconds for r in summary.records]
    assert arm.costs.spent == pytest.approx(sum(spent))
    assert arm.costs.total == pytest.approx(sum(spent[:2]) / 2)


def test_improvement_over_the_random_average():
    records = runs("darts", 0.33, 0.33) + runs("random_average", 0.2, 0.4, 0.3)
    found = arms(summarise(records))
    assert found["darts"].improvement["test_auprc"] == pytest.approx(10)
    assert found["random_average"].improvement["test_auprc"] is None
    assert arms(summarise(runs("darts", 0.3)))["darts"].improvement["test_auprc"] is None


def test_wins_ties_and_losses_over_shared_seeds():
    records = runs("darts", 0.5, 0.3, 0.1, 0.9) + runs("random", 0.4996, 0.3, 0.2)
    found = arms(summarise(records + runs("random_average", 0.5)))
    assert found["darts"].against_random == (1, 1, 1)
    assert found["random"].against_random is None
    assert found["random_average"].against_random is None


def test_random_architectures_are_no_blocks():
    summary = summarise(comparison(5, unfinished=False))
    assert "random_average" not in summary.ranking.arms
    assert len(summary.ranking.arms) == 5
    assert arms(summary)["random_average"].mean_rank is None
    tests = {pair.test for pair in summary.pairs if "random_average" in pair[:2]}
    assert tests == {"Mann–Whitney"}


def test_medians_by_category_leave_out_what_can_t_be_scored():
    targets = [("TF", 0.1), ("TF", 0.3), ("TF", None), ("DNase", 0.7)]
    rows = tuple({"category": name, "auroc": s, "auprc": s} for name, s in targets)
    (arm,) = summarise(runs("darts", 0.3, 0.3, targets=rows)).arms
    assert arm.categories["TF"]["auprc"].mean == pytest.approx(0.2)
    assert arm.categories["DNase"]["auroc"][:2] == (2, pytest.approx(0.7))


def test_the_non_dominated_set():
    sizes = [(0, 100, 0.2), (1, 200, 0.1), (2, 200, 0.3), (3, 300, 0.3), (4, 400, 0.5)]
    records = [done("darts", seed, score, parameters=size) for seed, size, score in sizes]
    records += [done("darts", 5, 0.9, parameters=None)]
    assert [record.seed for record in summarise(records).non_dominated] == [0, 2, 4]


def test_one_architecture_is_no_arm_to_win():
    records = runs("darts", 0.3, 0.4) + runs("random", 0.2, 0.3) + runs("one_architecture", 0.9)
    summary = summarise(records)
    assert set(summary.ranking.arms) == {"darts", "random"}
    assert [pair[:2] for pair in summary.pairs] == [("darts", "random")]
    assert arms(summary)["one_architecture"].against_random is None


def test_validation_alone_picks_the_network_that_is_drawn(tmp_path):
    records = runs("darts", 0.1, 0.2, 0.3, folder=tmp_path)
    records[1] = replace(records[1], valid_auprc=0.9)
    records[2] = replace(records[2], valid_auprc=None)
    (best,) = best_genotypes(summarise(records))
    assert best.seed == 1


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (done("darts", 0, 0.3), "run darts, seed 0: there are two records of it"),
        (RunRecord(arm="x", kind="search", seed=1, status="lost"), "seed 1: 'lost' is none of"),
        (RunRecord(arm="x", kind="find", seed=1, status="done"), "seed 1: 'find' is none of"),
    ],
)
def test_records_that_can_t_be_are_refused(record, error):
    with pytest.raises(ValueError, match=error):
        summarise([*runs("darts", 0.2), record])


def spread_text(average, *seeds):
    records = runs("random_average", *average) + (runs("DanQ", *seeds) if seeds else [])
    return " ".join(spread_words(summarise(records + runs("darts", 0.35, 0.31, 0.1))))


def test_spreads_are_told_in_words():
    wide = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    narrow = [0.3 + score / 1000 for score in wide]
    assert "overlap" in spread_text(wide, *wide)
    assert "spread more than those of the seeds of DanQ" in spread_text(wide, *narrow)
    assert "spread less than those of the seeds of DanQ" in spread_text(narrow, *wide)
    assert "overlap" in spread_text([0.3, 0.3, 0.3], 0.3, 0.3, 0.3)
    assert "can't be said" in spread_text(wide, 0.3, 0.3)
    assert "No arm trains one architecture with several seeds" in spread_text(wide)
    assert "(0.3001–0.3007, 7 of them): darts 2/0/1." in spread_text(narrow)
    assert "No random architecture was trained" in spread_words(summarise(runs("DanQ", 0.3)))[0]


def test_budget_in_words():
    records = [done("darts", 0, 0.3, search_seconds=3500.0)]
    assert "within ±15 % of the plan." in budget_words(summarise(records))
    records.append(done("osp", 0, 0.3, search_seconds=4320.0))
    assert "beyond ±15 % of the plan are osp (+20.0 %)" in budget_words(summarise(records))
    assert "can't be compared" in budget_words(summarise(runs("DanQ", 0.3)))


def test_headlines():
    assert headline(summarise([])) == ["No arm. 0 runs: none.", "No run has a result yet."]
    one = headline(summarise(runs("darts", 0.3)))
    assert one[1] == "darts has the highest mean test AUPRC, 0.3000, of one seed."
    few = headline(summarise(runs("darts", 0.3, 0.3) + runs("osp", 0.2, 0.2)))
    assert "no test" in few[1]
    scores = [0.1 + seed / 100 for seed in range(5)]
    five = runs("darts", *scores) + runs("osp", *(score / 2 for score in scores))
    assert "For osp there are too few seeds to tell." in headline(summarise(five))[1]
