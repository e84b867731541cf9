"""What a GPU must give: the plain form's numbers, the same bytes twice, a run that goes on.

`make gpu` runs all of it; in `make test` a small part runs on the CPU, which keeps it sound.
"""

import csv
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn.functional import dropout

from baseline_models.networks import BASELINES
from benchmarks.bench import peak_memory
from benchmarks.settings import MeasuringOptions, Options
from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.load_model import load_model
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.plain_network import PlainFinalNetwork, take_weights
from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.arithmetic import set_arithmetic
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import LengthOptions, RunOptions, WeightOptions
from generalNAS_tools.search_space.edge_masks import full_masks, masks_from_genotype
from generalNAS_tools.search_space.genotypes import parse_genotype
from generalNAS_tools.search_space.mixing import MixingWeights, mask_mixing
from generalNAS_tools.training import captured_step
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes
from tests.generalNAS_tools.model_cases import logits, write_model
from tests.plain_forms.network import PlainSupernet
from tests.scripts.in_process import command_line, run_script
from tests.scripts.runs import TEST, refusal, result, start, wait_for
from tests.scripts.trajectories import digests
from tests.scripts.trajectory_runs import GENOTYPE, RUNS, SEQ_SIZE

ON_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=ON_CARD)]
NO_DROPOUT = {"dropoutx": 0, "dropouth": 0, "head_dropout": 0, "drop_path_prob": 0}


def on(name, device, monkeypatch, **flags):
    """The run of that name, on a device."""
    old = RUNS[name]
    flags = {key: value for key, value in flags.items() if key in old.flags}
    monkeypatch.setitem(RUNS, name, old._replace(flags=old.flags | {"device": device} | flags))
    return RUNS[name]


def gradients_of(network, x, mixing):
    """Logits and gradients of the input, and of the mixing weights, in float64 on the CPU."""
    inputs = [x, *(weight for each in mixing for weight in each)]
    logits = network(x, *mixing).logits
    found = torch.autograd.grad(logits.square().mean(), inputs)
    return [tensor.detach().double().cpu() for tensor in (logits, *found)]


@pytest.mark.parametrize(
    ("device", "compiling"),
    [("cpu", "off"), *(pytest.param("cuda", mode, marks=ON_CARD) for mode in ("on", "off"))],
)
@pytest.mark.parametrize("kind", ["supernet", "final"])
def test_float32_gives_the_numbers_of_the_plain_form_in_float64(kind, device, compiling):
    set_arithmetic(RunOptions(compile=compiling), torch.device(device))
    torch.manual_seed(0)
    options = NetworkOptions(60, 3, 4, 3, dropoutx=0.0, dropouth=0.0)
    x, mixing = torch.randn(8, 4, 60, dtype=torch.float64, requires_grad=True), []
    if kind == "supernet":
        fast = Supernet(full_masks(), options)
        plain = PlainSupernet(full_masks(), options).double().load_from(fast)
        ones = mask_mixing(full_masks(), torch.device("cpu"))
        mixing = [MixingWeights(*(each.double().div(9).requires_grad_() for each in ones))]
    else:
        fast = FinalNetwork(parse_genotype(GENOTYPE, source="here"), options)
        plain = PlainFinalNetwork(parse_genotype(GENOTYPE, source="here"), options).double()
        plain = take_weights(plain, fast)
    for network in (fast, plain):
        network.network.head[0].p = 0.0
    expected = gradients_of(plain, x, mixing)
    lower = [
        MixingWeights(*(w.detach().float().to(device).requires_grad_() for w in each))
        for each in mixing
    ]
    x = x.detach().float().to(device).requires_grad_()
    found = gradients_of(fast.to(device), x, lower)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()
    assert compiled.in_use() == (compiling == "on")


@pytest.mark.parametrize(
    ("name", "device"),
    [("random", "cpu"), *(pytest.param(name, "cuda", marks=ON_CARD) for name in RUNS)],
)
def test_a_script_gives_the_same_bytes_twice(name, device, tmp_path, monkeypatch):
    on(name, device, monkeypatch)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert digests(name, first) == digests(name, second)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["cwp_darts"])
def test_a_killed_run_ends_as_one_left_alone(name, device, tmp_path, monkeypatch):
    run = on(name, device, monkeypatch)
    for folder in ("alone", "killed"):
        (tmp_path / folder).mkdir()
    alone, killed = run.line(tmp_path / "alone"), run.line(tmp_path / "killed")
    assert run_script(run.script, alone).code == 0
    process = start(run.script, killed)
    wait_for((tmp_path / "killed" / "run" / "checkpoint-a.pt").exists, "the first epoch")
    process.kill()
    process.join()
    assert run_script(run.script, killed).code == 0
    assert result(tmp_path / "killed" / "run") == result(tmp_path / "alone" / "run")


def first_loss(run, folder):
    folder.mkdir()
    assert run_script(run.script, run.line(folder)).code == 0
    with (folder / "run" / "history-a.csv").open() as file:
        return float(next(csv.DictReader(file))["train_loss"])


@pytest.mark.parametrize("name", ["darts", "osp", "random", "final"])
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_an_epoch_trains_as_on_the_cpu(name, device, tmp_path, monkeypatch):
    here = first_loss(on(name, "cpu", monkeypatch, **NO_DROPOUT), tmp_path / "here")
    there = first_loss(on(name, device, monkeypatch, **NO_DROPOUT), tmp_path / "there")
    assert there == pytest.approx(here, rel=1e-3)


def answered_alike(on_card, again, here):
    """Compared to how far answers to several sequences lie apart."""
    assert torch.equal(on_card, again)
    assert (on_card - here).norm() <= 1e-2 * (here - here.mean(0)).norm()


@pytest.mark.parametrize("device", DEVICES)
def test_a_test_predicts_as_on_the_cpu(device, tmp_path):
    run, found = RUNS["final"], []
    assert run_script(run.script, run.line(tmp_path)).code == 0
    files = {
        "model": tmp_path / "run" / "model-a.pth",
        "test_directory": tmp_path / "data/test.mat",
    }
    for number, where in enumerate((device, device, "cpu")):
        own = {"save_dir": tmp_path / f"{number}", "save": "t", "device": where}
        assert run_script(TEST, command_line(files | own | {"seq_size": SEQ_SIZE})).code == 0
        predictions = np.load(tmp_path / f"{number}" / "predictions_test-t.npy")
        found.append(torch.from_numpy(predictions))
    answered_alike(*found)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["searched", *BASELINES])
def test_a_loaded_network_answers_as_on_the_cpu(name, device, tmp_path):
    size = 163 if name == "DeepSEA" else 38
    set_arithmetic(RunOptions(), torch.device(device))  # no TF32
    write_model(tmp_path / "m.pth", name, size)
    x = torch.eye(4)[torch.randint(4, (5, size))].transpose(1, 2)
    places = device, device, "cpu"
    answered_alike(
        *(logits(load_model(tmp_path / "m.pth", device=d), x.to(d)).cpu() for d in places)
    )


@pytest.mark.parametrize("name", ["darts", "dep_darts", "osp", "bonas", "final", "deepsea_adamw"])
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_captured_steps_do_what_plain_ones_do(name, device, tmp_path, monkeypatch):
    monkeypatch.setattr(captured_step._Off, "reason", "")
    replay = mock.Mock(side_effect=captured_step.CudaGraph.replay)
    monkeypatch.setattr(captured_step.CudaGraph, "replay", lambda graph: replay(graph))
    losses, memory, replays = [], [], []
    for mode in ("off", "auto", "auto"):
        run = on(name, device, monkeypatch)
        run = run._replace(flags=run.flags | {"cuda_graph": mode})
        losses.append(first_loss(run, tmp_path / f"{len(losses)}"))
        torch.cuda.empty_cache()
        memory.append(torch.cuda.memory_reserved())
        replays.append(replay.call_count)
        assert "--cuda_graph" not in (tmp_path / f"{len(memory) - 1}/run/log-a.txt").read_text()
    assert losses[1] == losses[2] == pytest.approx(losses[0], rel=1e-5)
    assert memory[2] <= memory[1] + 2**24
    assert replays[0] == 0
    assert 0 < replays[1] < replays[2]
    assert not captured_step._Off.reason


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_a_run_of_a_card_is_refused_on_the_cpu(device, tmp_path, monkeypatch):
    run = on("darts", device, monkeypatch)
    assert run_script(run.script, run.line(tmp_path)).code == 0
    elsewhere = on("darts", "cpu", monkeypatch)
    assert "device" in refusal(run_script(elsewhere.script, elsewhere.line(tmp_path)))


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_subnets_leave_no_memory_behind(device):
    options, used = NetworkOptions(200, 164, 4, 3), []
    supernet, x = Supernet(full_masks(), options).to(device), torch.randn(16, 4, 200, device=device)
    for genotype in distinct_genotypes(np.random.default_rng(0), 12):
        masks = masks_from_genotype(genotype)
        logits = supernet(x, mask_mixing(masks, torch.device(device)), masks).logits
        logits.square().mean().backward()
        del logits
        used.append(torch.cuda.memory_allocated())
    assert max(used[1:]) <= 1.05 * used[1]


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_a_weight_step_needs_at_most_six_tenths_of_the_plain_forms_memory(device):
    options = Options(
        network=FrameOptions(init_channels=8, layers=6),
        length=LengthOptions(),
        weights=WeightOptions(),
        measuring=MeasuringOptions(batch_size=16),
    )
    fast, plain = (
        peak_memory(make, options, torch.device(device)) for make in (Supernet, PlainSupernet)
    )
    assert fast <= 0.6 * plain


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_CARD)])
def test_a_step_that_reads_a_number_goes_on_as_it_is(device, monkeypatch, caplog):
    monkeypatch.setattr(captured_step._Off, "reason", "")
    options = LoopOptions(4, 1, 0, torch.device(device), cuda_graph=True)

    def step(batch):
        dropped = dropout(batch.x)
        return (dropped * dropped.sum().item(),)

    batch = Batch(torch.ones(4, 4, 60, device=device), torch.ones(4, 3, device=device))
    torch.manual_seed(0)
    expected = [step(batch)[0] for _ in range(3)]
    torch.manual_seed(0)
    step = captured_step.captured(step, [], options)
    found = [step(batch)[0] for _ in range(3)]
    assert all(map(torch.equal, found, expected))
    assert [line.startswith("--cuda_graph: left out") for line in caplog.messages] == [True]
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
