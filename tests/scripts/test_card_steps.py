"""Every kind of step of every script on a made-up GPU: nothing is read from it or copied to it."""

from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch

from baseline_models.networks import BASELINES, baseline_optimizer, build_baseline
from BO_tools import shared_training
from BO_tools.search_options import Options, RoundOptions, ScoringDataOptions, SurrogateOptions
from BO_tools.shared_training import SharedTraining
from darts_tools.alphas import Alphas, EdgeWeights, active_weights
from darts_tools.discard_edges import discard_edges
from darts_tools.search_stage import (
    AlphaOptions,
    AlphaRule,
    DifferentiableOptions,
    search_epoch,
    start_stage,
)
from darts_tools.stages import drop_primitives
from data_generators.random_graphs import random_architecture
from generalNAS_tools.data.deepsea_data import Batch, Splits
from generalNAS_tools.networks.cnn import batched_parts
from generalNAS_tools.networks.cnn.cells import SearchCell
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions, NetworkOutput
from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.command import Setup
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import (
    DataOptions,
    LengthOptions,
    RunOptions,
    ScoreOptions,
    SupernetOptions,
    WeightOptions,
)
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.training import train_loop
from generalNAS_tools.training.optimizers import cosine_schedule, weight_optimizer
from generalNAS_tools.training.train_loop import EpochMetrics, Meter, evaluate
from generalNAS_tools.training.training_epoch import training_epoch
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    initial_masks,
)
from randomSearch_and_Hyperband_Tools.osp_stage import start_round
from randomSearch_and_Hyperband_Tools.random_genotypes import random_genotype
from tests.fake_card import CARD, Card, HostAccessError, fake_card
from tests.scripts.in_process import ROOT

TARGETS, BATCH = 3, 4
RUN = {"run": RunOptions(), "network": FrameOptions(), "weights": WeightOptions()}
SEARCH = DifferentiableOptions(
    data=DataOptions(), alphas=AlphaOptions(), supernet=SupernetOptions(), **RUN
)
BONAS = Options(
    data=ScoringDataOptions(),
    length=LengthOptions(epochs=2),
    rounds=RoundOptions(super_batch_size=BATCH, sub_batch_size=BATCH, recalibration_steps=1),
    surrogate=SurrogateOptions(),
    score=ScoreOptions(),
    supernet=SupernetOptions(),
    **RUN,
)


class Split:
    """A data set whose batches are on the card from the start."""

    num_sequences, num_targets = BATCH, TARGETS

    def __init__(self, seq_size):
        self.seq_size = seq_size

    def batch(self, indices, device):
        x = torch.empty(len(indices), 4, self.seq_size, device=device)
        return Batch(x, torch.empty(len(indices), TARGETS, device=device))


class StrandsOnTheCard:
    """Which sequences to read reversed, of any order."""

    def __getitem__(self, order):
        return torch.empty(len(order), dtype=torch.bool, device=CARD)


def make_setup(seq_size=6, **options):
    clipping = RUN["weights"].clipping
    loop = LoopOptions(BATCH, 1, 0, CARD, beta=0.1, clipping=clipping, report_freq=9, **options)
    run = SimpleNamespace(
        history=[], partial=None, begin_epoch=lambda: 0, stop_if_asked=lambda *_: None
    )
    split = Split(seq_size)
    frame = NetworkOptions(seq_size, TARGETS, init_channels=2, layers=2)
    return Setup(Splits(split, split), run, loop, frame, CARD)


@pytest.fixture(autouse=True)
def on_the_card(monkeypatch):
    """Strands are drawn and figures are read between epochs; that is no step.

    No product makes moments on a GPU, where --tf32 would spoil them.
    """
    monkeypatch.setattr(batched_parts, "fold_norm", None)
    monkeypatch.setattr(train_loop, "random_strands", lambda *_, **__: StrandsOnTheCard())
    monkeypatch.setattr(Meter, "figures", lambda self: EpochMetrics(float("nan"), 0.0))
    with fake_card():
        yield


def differentiable(masks, *, skip_dropout=0.0, unrolled=False, **loop):
    setup = make_setup(**loop)
    supernet, alphas = Supernet(masks, setup.network), Alphas(masks)
    supernet.set_skip_dropout(skip_dropout)
    rule = AlphaRule(clip=1.0, unrolled=unrolled)
    stage = start_stage(supernet, alphas, setup, options=SEARCH, epochs=2, rule=rule)
    return lambda: search_epoch(stage, setup, epoch=0, frozen=False)


def later_masks(*, edges):
    """What a second stage has left, by random weights."""
    rng, masks = np.random.default_rng(0), full_masks()
    weights = EdgeWeights(*(active_weights(rng.normal(size=mask.shape), mask) for mask in masks))
    kept = drop_primitives(masks, weights, kept_cnn=6, kept_rnn=3)
    return discard_edges(kept, weights, cnn_edges=4, rnn_edges=5) if edges else kept


def darts():
    yield differentiable(full_masks(), batch_statistics=True)
    yield differentiable(full_masks(), amp=True, rc_augment=True)
    yield differentiable(full_masks(), unrolled=True)


def pdarts():
    yield differentiable(later_masks(edges=False), skip_dropout=0.3)


def dep_darts():
    yield differentiable(later_masks(edges=True), skip_dropout=0.3)


def osp():
    setup, rng = make_setup(), np.random.default_rng(0)
    masks = initial_masks(rng, 20)
    stage = start_round(masks, None, setup, weights=RUN["weights"], epochs=2)
    yield lambda: stage.epoch(setup, 0)
    removals = [draw_removals(mask, 3, rng) for mask in masks]
    candidate, *_ = candidate_masks(masks, removals)
    mixing = start_round(candidate, None, setup, weights=RUN["weights"], epochs=2).mixing
    yield lambda: evaluate(
        stage.supernet,
        lambda x: stage.supernet(x, mixing),
        split=setup.splits.valid,
        run=setup.run,
        options=setup.loop,
    )


def bonas():
    rng, setup = np.random.default_rng(0), make_setup(batch_statistics=True)
    architectures = [random_architecture(rng) for _ in range(3)]
    training = SharedTraining(architectures, setup, BONAS)
    yield lambda: training.train_whole(0)
    yield training.train_subnets
    forwards = {id(a): shared_training._subnet(a, training.supernet, CARD) for a in architectures}
    with mock.patch.object(shared_training, "_subnet", lambda a, *_: forwards[id(a)]):
        yield lambda: training.score(architectures[0], 0)


def final():
    for amp in (False, True):
        setup = make_setup(amp=amp)
        genotype = random_genotype(np.random.default_rng(0))
        network = FinalNetwork(genotype, setup.network, drop_path=0.2).to(CARD)
        yield whole_epoch(network, network, weight_optimizer(network, RUN["weights"]), setup)


def baselines():
    for name, baseline in BASELINES.items():
        setup = make_setup(baseline.shortest)
        network = build_baseline(name, seq_size=baseline.shortest, num_targets=TARGETS).to(CARD)
        optimizer = baseline_optimizer(name, network)
        yield whole_epoch(network, lambda x, n=network: NetworkOutput(n(x), None), optimizer, setup)


def whole_epoch(network, forward, optimizer, setup):
    schedule = cosine_schedule(optimizer, RUN["weights"], epochs=2)
    return lambda: training_epoch(
        network, forward, optimizer, schedule=schedule, setup=setup, validate=True
    )


STEPS = {
    "train_genomicDARTS": darts,
    "train_genomicPDARTS": pdarts,
    "train_genomicCWP_DARTS": pdarts,
    "train_genomicDEP_DARTS": dep_darts,
    "train_genomicOSP_NAS": osp,
    "train_genomicBONAS": bonas,
    "train_genomicRandom": final,
    "train_genomicHyperbandNAS": final,
    "train_finalArchitecture": final,
    "train_baseline": baselines,
}


@pytest.mark.parametrize("steps", sorted(set(STEPS.values()), key=lambda steps: steps.__name__))
def test_no_step_meets_the_host(steps):
    for work in steps():
        with Card() as card:
            work()
        assert card.total > 100


def test_every_script_that_trains_is_here():
    folders = (ROOT, ROOT / "generalNAS_tools", ROOT / "baseline_models")
    assert set(STEPS) == {path.stem for folder in folders for path in folder.glob("train_*.py")}


def test_a_number_read_within_the_rhn_is_seen(monkeypatch):
    """As `int(tensor)` would be."""
    whole = SearchRHN._norm

    def reading(self, *sizes):
        int(self.num_batches_tracked)
        return whole(self, *sizes)

    monkeypatch.setattr(SearchRHN, "_norm", reading)
    work = differentiable(full_masks())
    with pytest.raises(RuntimeError, match="meta"), Card():
        work()


def test_a_mask_made_within_a_step_is_seen(monkeypatch):
    whole = SearchCell.forward

    def copying(self, state0, state1, mixing, **options):
        exists = torch.from_numpy(self.mask).to(mixing.device)
        return whole(self, state0, state1, mixing * exists, **options)

    monkeypatch.setattr(SearchCell, "forward", copying)
    work = differentiable(full_masks())
    with pytest.raises(HostAccessError, match="_to_copy"), Card():
        work()


def test_a_tensor_left_on_the_host_is_seen():
    setup = make_setup()
    network = FinalNetwork(random_genotype(np.random.default_rng(0)), setup.network).to(CARD)
    optimizer = weight_optimizer(network, RUN["weights"])
    network.network.head[1].bias = torch.nn.Parameter(torch.zeros(925))
    with pytest.raises((RuntimeError, HostAccessError)), Card():
        whole_epoch(network, network, optimizer, setup)()
