"""genomeP-DARTS, genomeCWP-DARTS and genomeDEP-DARTS from the command line."""

import csv
import difflib
import json
import random
import shlex
import signal
import time

import numpy as np
import pytest
import torch

from darts_tools.alphas import Alphas, EdgeWeights
from darts_tools.derivation import count_skips
from darts_tools.discard_edges import discard_edges
from darts_tools.limit_skips import limit_skips
from darts_tools.stages import drop_primitives
from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.files.genotype_files import read_genotype
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.signals import Stopped
from generalNAS_tools.search_space.edge_masks import Masks, full_masks
from generalNAS_tools.search_space.genotypes import parse_genotype
from tests.scripts.runs import (
    FINAL,
    ROOT,
    SEQ_SIZE,
    TEST,
    history_length,
    log_of,
    refusal,
    result,
    run_here,
    start,
    wait_for,
)
from tests.scripts.test_interruptions import send_at

PDARTS, CWP, DEP = SCRIPTS = (
    "train_genomicPDARTS.py",
    "train_genomicCWP_DARTS.py",
    "train_genomicDEP_DARTS.py",
)
METHODS = dict(zip(SCRIPTS, ("pdarts", "cwp_darts", "dep_darts"), strict=True))
STAGES = [1, 2, 2, 3]
"""Of the epochs in the runs below; the first epoch of stage 2 is frozen."""
STEPS = 2
COMMON = """--num_steps=2000 --seq_size=1000 --batch_size=64 \
--train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' --report_freq=1000 --dropouth=0.05 \
--dropoutx=0.1 --rhn_lr=8 --one_clip=True --clip=0.25 --validation=True --report_validation=1"""
SEED_COMMANDS = {
    PDARTS: f"python {PDARTS} {COMMON} --epochs=25 --task='TF_bindings' --save='pdarts_1' "
    "--save_dir=results/pdarts_search",
    CWP: f"python {CWP} {COMMON} --task='TF_bindings' --save='cwp_1' --save_dir=results/cwp_search",
    DEP: f"python {DEP} {COMMON} --task='TF_bindings' --save='dep_1' --save_dir=results/dep_search",
}


def line_of(toy, folder, **flags):
    """Command line of a small search of 1, 2 and 1 epochs."""
    line = toy.search(folder, **flags)
    return [*line, "--epochs", "1", "2", "1", "--frozen_epochs", "0", "1", "0"]


@pytest.fixture(scope="module")
def folders(toy):
    """Folders of finished searches, each run when it is first asked for."""
    done = {}

    def folder_of(script):
        if script not in done:
            done[script] = toy.folder / METHODS[script]
            assert run_here(script, line_of(toy, done[script])).code == 0
        return done[script]

    return folder_of


def weights_of(folder):
    """Softmax weights after each epoch."""
    arrays = [np.load(folder / f"alphas_{name}-a.npy") for name in Masks._fields]
    return [EdgeWeights(*epoch) for epoch in zip(*arrays, strict=True)]


def masks_of(weights):
    return Masks(*(cell > 0 for cell in weights))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_seeds_command(script, toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, name, *words = shlex.split(SEED_COMMANDS[script])
    folder, save = (
        next(word.partition("=")[2] for word in words if word.startswith(flag))
        for flag in ("--save_dir=", "--save=")
    )
    (tmp_path / folder).mkdir(parents=True)  # the seed's mkdir
    small = ["--init_channels=2", "--layers=2", "--device=cpu", "--epochs=1", "--frozen_epochs=0"]
    paths = [f"--{flag}={path}" for flag, path in toy.data_flags().items()]
    budget = ["--num_steps=1", f"--seq_size={SEQ_SIZE}", "--batch_size=8"]
    outcome = run_here(name, [*words, *paths, *budget, *small], pictures=script == DEP)
    assert outcome.code == 0, outcome.stderr
    written = {path.name for path in (tmp_path / folder).iterdir()}
    arrays = ("train_loss", "acc_train", "valid_loss", "acc_valid", "time")
    assert {f"{array}-{save}.npy" for array in arrays} <= written
    assert {f"{METHODS[script]}_geno-{save}.npy", f"skip_chain-{save}.json"} <= written
    assert {f"log-{save}.txt", f"config-{save}.json", f"history-{save}.csv"} <= written
    if script == DEP:
        for picture in ("alphas", "genotype", "curves"):
            assert (tmp_path / folder / f"{picture}-{save}.png").stat().st_size > 10000
    config = json.loads((tmp_path / folder / f"config-{save}.json").read_text())
    assert (config["rhn_lr"], config["clip"], config["one_clip"]) == (8.0, 0.25, True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_history_chain_and_choice(script, folders):
    folder = folders(script)
    rows = list(csv.DictReader((folder / "history-a.csv").read_text().splitlines()))
    assert [int(row["stage"]) for row in rows] == STAGES
    assert all(0 <= int(row["normal_skips"]) <= 8 for row in rows)
    assert all(float(row["valid_loss"]) > 0 for row in rows)
    chain = json.loads((folder / "skip_chain-a.json").read_text())
    genotypes = {int(k): parse_genotype(value, source="chain") for k, value in chain.items()}
    last = weights_of(folder)[-1]
    assert genotypes == limit_skips(masks_of(last), last)
    assert read_genotype(folder / f"{METHODS[script]}_geno-a.npy") == genotypes[2]
    derived = count_skips(genotypes[8])
    assert int(rows[-1]["normal_skips"]) == derived
    why = "kept as it is" if derived <= 2 else "cut to 2"
    assert f"derived with {derived} skip connections; --max_skip_connects 2: {why}" in log_of(
        folder
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_each_stage_drops(script, folders):
    """Every stage's masks follow from the weights that the stage before ended with."""
    weights = weights_of(folders(script))
    masks = [masks_of(epoch) for epoch in weights]
    for found, expected in zip(masks[0], full_masks(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for before, after, kept, edges in ((0, 1, (6, 3), (4, 5)), (2, 3, (3, 2), (3, 3))):
        expected = drop_primitives(
            masks[before], weights[before], kept_cnn=kept[0], kept_rnn=kept[1]
        )
        if script == DEP:
            expected = discard_edges(
                expected, weights[before], cnn_edges=edges[0], rnn_edges=edges[1]
            )
        for found, one in zip(masks[after], expected, strict=True):
            np.testing.assert_array_equal(found, one)
    counts = [[int(cell.any(axis=1).sum()) for cell in masks[epoch]] for epoch in (0, 1, 3)]
    full = [14, 14, 36]
    assert counts == ([full, [13, 13, 30], [11, 11, 21]] if script == DEP else [full] * 3)


def test_alphas_move_except_in_frozen_epochs(folders):
    masks, weights = full_masks(), weights_of(folders(PDARTS))
    torch.manual_seed(0)
    Supernet(masks, NetworkOptions(SEQ_SIZE, 5, init_channels=2, layers=2))
    fresh = Alphas(masks).edge_weights()
    assert not np.allclose(fresh.normal, weights[0].normal, atol=1e-6)
    assert not np.allclose(weights[1].normal, weights[2].normal, atol=1e-6)


@pytest.mark.parametrize("script", [PDARTS, CWP])
def test_cwp_goes_on_with_its_alphas(script, folders):
    """The first epoch of stage 2 is frozen: its weights are those the stage began with."""
    weights = weights_of(folders(script))
    carried = []
    for before, after in zip(weights[0], weights[1], strict=True):
        kept = before * (after > 0)
        share = np.divide(kept, kept.sum(1, keepdims=True), out=kept, where=kept > 0)
        carried.append(np.allclose(share, after, rtol=1e-6, atol=0))
    assert carried == [script == CWP] * 3


@pytest.mark.parametrize("script", [PDARTS, CWP])
def test_cwp_goes_on_with_its_weights(script, toy, tmp_path):
    """At learning rate 0 a CWP search ends with the weights it began with."""
    still = {"cnn_lr": 0, "rhn_lr": 0, "learning_rate_min": 0, "num_steps": 1}
    assert run_here(script, line_of(toy, tmp_path, **still)).code == 0
    torch.manual_seed(0)
    first = Supernet(full_masks(), NetworkOptions(SEQ_SIZE, 5, init_channels=2, layers=2))
    state = load_weights(tmp_path / "checkpoint-a.pt")
    last = Supernet(Masks.from_lists(state["position"]["masks"]), NetworkOptions(
        SEQ_SIZE, 5, init_channels=2, layers=2))  # fmt: skip
    last.load_state_dict(state["objects"]["supernet"])
    pairs = [
        (before.get_parameter(name), after.get_parameter(name))
        for before, after in [(first.network, last.network)]
        for name in ("stem.0.weight", "rhn.W0", "rhn.W.7", "head.3.weight")
    ]
    for before, after in zip(first.cells, last.cells, strict=True):
        pairs.append((before.preprocess0.conv.weight, after.preprocess0.conv.weight))
        for edge, primitive in np.argwhere(after.mask):
            tensors = [cell.operation_tensors(edge, primitive) for cell in (before, after)]
            pairs += [pair for pair in zip(*tensors, strict=True) if pair[0].dim() == 3]
    assert len(pairs) > 40
    assert {torch.equal(before, after) for before, after in pairs} == {script == CWP}


@pytest.mark.parametrize(
    ("script", "number", "name", "call", "stage"),
    [
        (PDARTS, signal.SIGTERM, "weight_step", 1, 0),
        (PDARTS, signal.SIGTERM, "weight_step", 3, 1),  # the first step of stage 2
        (PDARTS, signal.SIGINT, "bce_loss", 8, 2),  # while stage 3 is validated
        (CWP, signal.SIGTERM, "weight_step", 5, 1),
        (CWP, signal.SIGINT, "weight_step", 7, 2),  # the first step of stage 3
        (DEP, signal.SIGTERM, "bce_loss", 4, 1),
        (DEP, signal.SIGTERM, "weight_step", 8, 2),  # the very last step
    ],
)
def test_stopped_in_any_stage(script, number, name, call, stage, folders, toy, tmp_path):
    line = line_of(toy, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, number, name=name, call=call)
        assert run_here(script, line).code == 128 + number
    state = load_weights(tmp_path / "checkpoint-a.pt")
    assert state["position"].get("stage", 0) == stage
    assert state["partial"] is not None
    assert run_here(script, line).code == 0
    assert result(tmp_path) == result(folders(script))


@pytest.mark.parametrize("script", SCRIPTS)
def test_lost_between_two_stages(script, folders, toy, tmp_path, monkeypatch):
    """Nothing was saved since the stage's last epoch: its end is decided again, the same way."""
    from darts_tools import search_stage

    original, starts = search_stage.start_stage, []

    def start_but_once(*args, **options):
        starts.append(None)
        if len(starts) == 2:
            raise Stopped(signal.SIGTERM)
        return original(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_stage, "start_stage", start_but_once)
        assert run_here(script, line_of(toy, tmp_path)).code == 143
    position = load_weights(tmp_path / "checkpoint-a.pt")["position"]
    assert (position["stage"], position["epoch"]) == (0, 1)
    assert run_here(script, line_of(toy, tmp_path)).code == 0
    assert result(tmp_path) == result(folders(script))


@pytest.mark.parametrize(("script", "epochs"), [(PDARTS, (1, 4)), (CWP, (2,)), (DEP, (4,))])
def test_killed_in_any_stage(script, epochs, folders, toy, tmp_path):
    line, moments = line_of(toy, tmp_path), random.Random(script)
    for epoch in epochs:
        process = start(script, line)
        wait_for(
            lambda epoch=epoch, process=process: (
                f"epoch {epoch}  step 1/{STEPS}" in log_of(tmp_path) or not process.is_alive()
            ),
            f"epoch {epoch}",
        )
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert run_here(script, line).code == 0
    assert result(tmp_path) == result(folders(script))
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_finished_search_changes_nothing_when_run_again(script, folders, toy):
    folder = folders(script)
    before = result(folder)
    torch.manual_seed(99)
    assert run_here(script, line_of(toy, folder)).code == 0
    assert result(folder) == before
    assert history_length(folder) == len(STAGES)


def test_a_changed_stage_is_refused(folders, toy):
    line = [*line_of(toy, folders(PDARTS)), "--num_keep_cnn", "5", "2", "1"]
    assert "--num_keep_cnn [6, 3, 1], now it is [5, 2, 1]" in refusal(run_here(PDARTS, line))


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        (PDARTS, ["--epochs", "1", "2"], "--epochs has 2 values; expected 1 or 3"),
        (PDARTS, ["--epochs", "3", "2", "3", "--frozen_epochs", "3"], "--frozen_epochs is 3 in st"),
        (CWP, ["--num_keep_rnn", "3", "1"], "--num_keep_rnn has 2 values; expected 3"),
        (CWP, ["--max_skip_connects=9"], "--max_skip_connects: '9' is not a whole number"),
        (DEP, ["--num_keep_cnn_edges", "1"], "--num_keep_cnn_edges is [1, 1]; expected"),
        (DEP, ["--num_keep_rnn_edges", "5", "4", "3"], "expected 1 or 2 (one per stage but the"),
        (DEP, ["--dropout_rate=2"], "--dropout_rate: '2' is not a number"),
    ],
)
def test_flags_that_do_not_fit(script, words, message, toy, tmp_path):
    outcome = run_here(script, [*line_of(toy, tmp_path / "new"), *words])
    assert message in refusal(outcome)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_collapse_is_warned_of_after_every_stage(script, toy, tmp_path, monkeypatch):
    monkeypatch.setattr("darts_tools.derivation.COLLAPSED_SKIPS", 0)
    flags = {"num_steps": 1, "layers": 1, "validation": False}
    assert run_here(script, line_of(toy, tmp_path, **flags)).code == 0
    assert log_of(tmp_path).count("are skip_connect: the search collapsed") == 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_genotype_is_trained_and_tested(script, folders, toy, tmp_path):
    genotype = folders(script) / f"{METHODS[script]}_geno-a.npy"
    line = toy.final(tmp_path, genotype_file=genotype, epochs=1)
    model = tmp_path / "model.pth"
    assert run_here(FINAL, [*line, f"--model_path={model}"]).code == 0
    assert run_here(TEST, toy.test(tmp_path, model)).code == 0
    assert "auroc" in (tmp_path / "metrics_test-t.json").read_text()


def code_lines(script):
    """The lines of a script without its docstring."""
    return (ROOT / script).read_text().split('"""\n', 1)[1].splitlines()


@pytest.mark.parametrize(("script", "gone", "new"), [(CWP, 8, 12), (DEP, 4, 14)])
def test_a_diff_with_pdarts_shows_the_idea_and_little_else(script, gone, new):
    diff = list(difflib.ndiff(code_lines(PDARTS), code_lines(script)))
    assert sum(line.startswith("- ") for line in diff) <= gone
    assert sum(line.startswith("+ ") for line in diff) <= new
