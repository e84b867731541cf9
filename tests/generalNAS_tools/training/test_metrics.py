import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from generalNAS_tools.training import metrics
from generalNAS_tools.training.metrics import f1_counts, weighted_f1


def sklearn_f1(labels, logits):
    return f1_score(labels, logits > 0, average="weighted", zero_division=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.lists(st.integers(1, 9), min_size=1))
def test_f1_over_batches_is_sklearn_s_over_all(seed, targets, batches):
    rng = np.random.default_rng(seed)
    counts = torch.zeros(3, targets, dtype=torch.int64)
    labels = rng.random((sum(batches), targets)) < rng.random(targets)
    logits = rng.normal(size=labels.shape)
    start = 0
    for size in batches:
        rows = slice(start, start + size)
        truth = torch.tensor(labels[rows], dtype=torch.float32)
        counts += f1_counts(torch.tensor(logits[rows]), truth)
        start += size
    assert weighted_f1(counts) == pytest.approx(sklearn_f1(labels, logits), rel=1e-12, abs=1e-15)


def test_f1_of_known_counts():
    logits = torch.tensor([[1.0, 1, -1], [1, -1, -1], [0, 1, 5]])
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 0]], dtype=torch.uint8)
    f1 = weighted_f1(f1_counts(logits, labels))
    # Target 0: 2 hits, 1 miss: 0.8 (a logit of 0 is no prediction). Target 1: 1 hit, 1 false
    # alarm, 1 miss: 0.5. Target 2 has no positive and weighs nothing.
    assert f1 == pytest.approx((0.8 * 3 + 0.5 * 2) / 5)


@pytest.mark.parametrize("seen", [0, 4])
def test_f1_without_positives_is_zero(seen):
    assert weighted_f1(f1_counts(torch.ones(seen, 2), torch.zeros(seen, 2))) == 0.0


def test_auroc_and_auprc_by_hand():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.9], [0.7, 0.8], [0.1, 0.3]], dtype=np.float32)
    result = metrics.score_predictions(labels, scores)
    # Target 0: positives rank 1 and 3: 3 of 4 pairs in order; precision 1 and 2/3.
    assert result["auroc"] == pytest.approx([0.75, 1.0])
    assert result["auprc"] == pytest.approx([(1 + 2 / 3) / 2, 1.0])
    assert result["summary"]["median_auroc"] == pytest.approx(0.875)
    assert result["summary"]["mean_auprc"] == pytest.approx((5 / 6 + 1) / 2)
    assert "categories" not in result


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40))
def test_auroc_is_the_share_of_ordered_pairs(seed, count):
    rng = np.random.default_rng(seed)
    labels = np.arange(count)[:, None] % 3 == 0
    scores = rng.integers(0, 5, (count, 1)).astype(np.float32)
    positives, negatives = scores[labels], scores[~labels]
    pairs = positives[:, None] - negatives
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert metrics.score_predictions(labels, scores)["auroc"][0] == pytest.approx(expected)


def test_unscorable_targets_are_skipped_and_named():
    rng = np.random.default_rng(0)
    labels = rng.random((20, 4)) < 0.5
    labels[:, 1], labels[:, 3] = False, True
    result = metrics.score_predictions(labels, rng.random((20, 4), dtype=np.float32))
    assert (result["num_targets"], result["num_scored"], result["num_unscorable"]) == (4, 2, 2)
    assert result["unscorable"] == [1, 3]
    assert result["auroc"][1] is result["auprc"][3] is None
    expected = (result["auroc"][0] + result["auroc"][2]) / 2
    assert result["summary"]["mean_auroc"] == pytest.approx(expected)


@pytest.mark.parametrize("labels", [np.zeros((5, 2), bool), np.ones((5, 2), bool)])
def test_nothing_scorable_gives_null_and_valid_json(labels):
    result = metrics.score_predictions(labels, np.zeros((5, 2), np.float32))
    assert result["summary"]["median_auroc"] is None
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert "-" in metrics.format_metrics(result)


def test_means_say_once_how_many_targets_they_skip(caplog):
    caplog.set_level("INFO")
    metrics._say_skipped.cache_clear()
    labels = np.array([[1, 0, 1], [0, 0, 1]], dtype=bool)
    for _ in range(2):
        assert metrics.mean_areas(labels, np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.2]])) == (1, 1)
    metrics.mean_areas(labels[:, :1], np.array([[0.9], [0.1]]))
    metrics.mean_areas(labels[:0], np.empty((0, 3)))  # ranks other than the first
    assert caplog.messages == ["validation AUROC and AUPRC are means of 1 targets; 2 lack a class"]


def test_deepsea_categories():
    rng = np.random.default_rng(1)
    labels = np.resize([True, False], (6, 919)) ^ (np.arange(6)[:, None] // 2 == 1)
    labels[:, 598] = False
    scores = rng.random((6, 919), dtype=np.float32)
    result = metrics.score_predictions(labels, scores)
    categories = result["categories"]
    assert {name: c["num_scored"] for name, c in categories.items()} == {
        "DNase": 125,
        "TF": 689,
        "histone": 104,
    }
    for name, targets in (("DNase", slice(125)), ("histone", slice(815, 919))):
        expected = np.median(result["auprc"][targets])
        assert categories[name]["median_auprc"] == pytest.approx(expected)
    weighted = sum(c["mean_auroc"] * c["num_scored"] for c in categories.values()) / 918
    assert weighted == pytest.approx(result["summary"]["mean_auroc"])
    json.dumps(result, allow_nan=False)
    table = metrics.format_metrics(result)
    assert "[598]" in table
    assert [line.split()[:2] for line in table.splitlines()[2:]] == [
        ["all", "918"],
        ["DNase", "125"],
        ["TF", "689"],
        ["histone", "104"],
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_predictions_that_are_no_numbers_are_refused(value):
    scores = np.zeros((4, 70), np.float32)
    scores[2, 66] = value
    with pytest.raises(ValueError, match="target 66 hold NaN or infinity"):
        metrics.score_predictions(np.zeros((4, 70), bool), scores)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(4, 3\)"):
        metrics.score_predictions(np.zeros((4, 2), bool), np.zeros((4, 3), np.float32))
