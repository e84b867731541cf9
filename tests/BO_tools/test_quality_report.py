import logging

import numpy as np
import pytest

from BO_tools.quality_report import QualityReport
from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture
from predictors.predictor_training import PredictorOptions


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5], [0.5, 0.6]])
def test_equal_scores_of_several_architectures_are_warned_of(scores, tmp_path, caplog):
    archive, rng = Archive(tmp_path / "archive.jsonl"), np.random.default_rng(0)
    for score in scores:
        archive.append(ScoredArchitecture(random_architecture(rng), score, 0.0, 0))
    with caplog.at_level(logging.WARNING):
        QualityReport().add(0, archive, None, options=PredictorOptions())
    assert ("all 2 scores are 0.5000" in caplog.text) == (scores == [0.5, 0.5])
    assert len(caplog.messages) == (scores == [0.5, 0.5])
