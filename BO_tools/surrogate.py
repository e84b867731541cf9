"""The surrogate: a predictor of scores with Bayesian regression on its embeddings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from BO_tools.acquisition import ScoreMoments, score_moments
from BO_tools.bayesian_regression import BayesianRegression, FloatArray, fit_regression
from BONAS_search_space.graphs import encode, with_global_vertex
from generalNAS_tools.search_space.genotypes import Genotype
from opendomain_utils.archive import ScoredArchitecture
from predictors.graph_predictors import GraphBatch, Predictor
from predictors.predictor_training import PredictorOptions, train_predictor

MAX_SEED = 2**31


class Surrogate(NamedTuple):
    """A fitted model of the score (BONAS, section 3.2)."""

    predictor: Predictor
    regression: BayesianRegression
    device: torch.device

    def predict(self, genotypes: Sequence[Genotype]) -> ScoreMoments:
        """Mean and standard deviation of the scores of N architectures, (N,) each."""
        features = _embed(self.predictor, graph_batch(genotypes, self.device))
        return score_moments(*self.regression.predict(features))


def fit_surrogate(
    entries: Sequence[ScoredArchitecture],
    options: PredictorOptions,
    rng: np.random.Generator,
    *,
    device: torch.device,
) -> Surrogate:
    """Trains a fresh predictor on the scored architectures, then the regression."""
    graphs = graph_batch([entry.genotype for entry in entries], device)
    scores = np.array([entry.score for entry in entries])
    predictor = train_predictor(
        graphs,
        torch.from_numpy(scores).to(device, torch.float32),
        options,
        seed=int(rng.integers(MAX_SEED)),
    )
    return Surrogate(predictor, fit_regression(_embed(predictor, graphs), scores), device)


def graph_batch(genotypes: Sequence[Genotype], device: torch.device) -> GraphBatch:
    """The architectures' graphs, with global vertices, as float32 on the device."""
    rows = [
        with_global_vertex(graph.cnn_adjacency, graph.cnn_operations)
        + with_global_vertex(graph.rhn_adjacency, graph.rhn_operations)
        for graph in map(encode, genotypes)
    ]
    stacked = (np.stack(matrices) for matrices in zip(*rows, strict=True))
    return GraphBatch(*(torch.from_numpy(each).to(device, torch.float32) for each in stacked))


def _embed(predictor: Predictor, graphs: GraphBatch) -> FloatArray:
    with torch.no_grad():
        return predictor.embed(graphs).cpu().double().numpy()
