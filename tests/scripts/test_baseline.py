"""The four baselines from the command line."""

import csv
import json
import os
import re
import shlex
import signal

import numpy as np
import pytest
import torch

from generalNAS_tools.files.checkpoints import load_weights
from generalNAS_tools.training.metrics import score_predictions as metrics_of
from tests.scripts.runs import (
    ROOT,
    TEST,
    Toy,
    log_of,
    refusal,
    result,
    run_here,
    start,
    wait_for,
)
from tests.scripts.test_interruptions import send_at
from tests.toy_bundle import write_toy_bundle

BASELINE = "baseline_models/train_baseline.py"
COMMON = """python baseline_models/train_baseline.py --num_steps=3000 --seq_size=1000 \
--batch_size=100 --train_directory='data/deepsea_train/train.mat' \
--valid_directory='data/deepsea_train/valid.mat' \
--test_directory='data/deepsea_train/test.mat' --epochs=50 --patience=40 --task='TF_bindings'"""
SEED_COMMANDS = {
    "DeepSEA": f"{COMMON} --model='DeepSEA' --save='deepsea1' --save_dir=results/deepsea "
    "--model_path='results/deepsea/deepsea1.pth'",
    "NCNet_bRR": f"{COMMON} --model='NCNet_bRR' --save='ncnet_brr1' "
    "--save_dir=results/ncnet_brr --model_path='results/ncnet_brr/ncnet_brr1.pth'",
    "NCNet_RR": f"{COMMON} --model='NCNet_RR' --save='ncnet_rr1' --save_dir=ncnet_rr "
    "--model_path='results/ncnet_rr/ncnet_rr1.pth'",
    "DanQ": f"{COMMON} --model='DanQ' --save='danq' --save_dir=results/danq "
    "--model_path='results/danq/danq1.pth'",
}
SEQ_SIZE = {"DeepSEA": 164, "DanQ": 40, "NCNet_RR": 40, "NCNet_bRR": 40}
README = (ROOT / "baseline_models" / "README.md").read_text()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Toy bundles by the length of their sequences."""
    made = {}

    def bundle_of(seq_size):
        if seq_size not in made:
            folder = tmp_path_factory.mktemp(f"bp{seq_size}")
            made[seq_size] = Toy(write_toy_bundle(folder / "data", seq_size=seq_size), folder)
        return made[seq_size]

    return bundle_of


def line_of(bundles, folder, model, **flags):
    """Command line of a small training."""
    size = SEQ_SIZE[model]
    own = {"seq_size": size, "batch_size": 8, "num_steps": 2, "epochs": 2, "report_freq": 1}
    own |= {"model": model, "save": "a", "save_dir": folder, "device": "cpu"}
    own |= {"model_path": folder / "model.pth"}
    flags = bundles(size).data_flags() | own | flags
    return [f"--{name}={value}" for name, value in flags.items()]


@pytest.fixture(scope="module")
def trained(bundles, tmp_path_factory):
    """Folders of finished trainings by model, each run when it is first asked for."""
    done = {}

    def folder_of(model):
        if model not in done:
            done[model] = tmp_path_factory.mktemp(model)
            outcome = run_here(BASELINE, line_of(bundles, done[model], model))
            assert outcome.code == 0, outcome.stderr
        return done[model]

    return folder_of


def history(folder):
    return list(csv.DictReader((folder / "history-a.csv").read_text().splitlines()))


@pytest.mark.parametrize("model", SEED_COMMANDS)
def test_the_seeds_command(model, bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / model.lower()).mkdir(parents=True)  # the seed's mkdir
    _, script, *words = shlex.split(SEED_COMMANDS[model])
    size = SEQ_SIZE[model]
    words += [f"--{flag}={path}" for flag, path in bundles(size).data_flags().items()]
    words += [f"--seq_size={size}", "--batch_size=8", "--num_steps=1", "--epochs=1"]
    outcome = run_here(script, [*words, "--device=cpu"], pictures=model == "DanQ")
    assert outcome.code == 0, outcome.stderr
    config = {k: v for k, _, v in (w.lstrip("-").partition("=") for w in words)}
    folder, save = tmp_path / config["save_dir"], config["save"]
    assert folder == tmp_path / ("ncnet_rr" if model == "NCNet_RR" else f"results/{model.lower()}")
    for name in ("train_loss", "acc_train", "valid_loss", "acc_valid", "time"):
        assert np.load(folder / f"{name}-{save}.npy").shape == (1,)
    for name in ("test_loss", "labels_test", "predictions_test"):
        assert np.isfinite(np.load(folder / f"{name}-{save}.npy")).all()
    for name in (f"log-{save}.txt", f"config-{save}.json", f"metrics_test-{save}.json"):
        assert (folder / name).stat().st_size > 100
    if model == "DanQ":
        assert (folder / f"curves-{save}.png").stat().st_size > 10000
    saved = load_weights(tmp_path / config["model_path"])
    assert (saved["baseline"], saved["seq_size"], saved["num_targets"]) == (model, size, 5)


def test_the_readmes_commands_are_the_seeds():
    """Only that the third writes beside its model there."""
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL).group(1)
    lines = [line for line in block.splitlines() if line]
    made, commands = lines[0::2], lines[1::2]
    for line, model, seed in zip(commands, SEED_COMMANDS, SEED_COMMANDS.values(), strict=True):
        expected = seed.replace("--save_dir=ncnet_rr", "--save_dir=results/ncnet_rr")
        assert shlex.split(line) == shlex.split(expected), model
    assert made == [f"mkdir -p results/{model.lower()}" for model in SEED_COMMANDS]


@pytest.mark.parametrize("model", SEED_COMMANDS)
def test_the_readmes_shortest_sequence_is_where_the_error_begins(model, bundles, tmp_path):
    row = next(line for line in README.splitlines() if line.startswith(f"| `{model}`"))
    shortest = int(re.search(r"(\d+) bp \|$", row).group(1))
    short = bundles(shortest - 1).data_flags() | {"seq_size": shortest - 1}
    message = refusal(run_here(BASELINE, line_of(bundles, tmp_path, model, **short)))
    assert f"train.mat: sequences of {shortest - 1} bp: {model}" in message
    assert f"at least {shortest} bp" in message
    assert not (tmp_path / "model.pth").exists()


@pytest.mark.parametrize(
    ("model", "number", "name", "call"),
    [
        ("DanQ", signal.SIGTERM, "weight_step", 3),
        ("DanQ", signal.SIGINT, "bce_loss", 2),  # while it validates
        ("DeepSEA", signal.SIGTERM, "weight_step", 1),
        ("NCNet_RR", signal.SIGTERM, "weight_step", 3),
        ("NCNet_bRR", signal.SIGINT, "weight_step", 4),
    ],
)
def test_stopped_and_continued(model, number, name, call, bundles, trained, tmp_path):
    line = line_of(bundles, tmp_path, model)
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, number, name=name, call=call)
        assert run_here(BASELINE, line).code == 128 + number
    assert load_weights(tmp_path / "checkpoint-a.pt")["partial"] is not None
    assert run_here(BASELINE, line).code == 0
    assert result(tmp_path) == result(trained(model))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_it_tests(number, bundles, trained, tmp_path):
    line = line_of(bundles, tmp_path, "DanQ")
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, number, name="bce_loss", call=2 * 2 + 1)  # after two validations of two
        assert run_here(BASELINE, line).code == 128 + number
    assert len(history(tmp_path)) == 2
    assert not (tmp_path / "metrics_test-a.json").exists()
    assert run_here(BASELINE, line).code == 0
    assert result(tmp_path) == result(trained("DanQ"))


def test_killed_and_continued(bundles, trained, tmp_path):
    line = line_of(bundles, tmp_path, "DanQ")
    process = start(BASELINE, line)
    wait_for(lambda: "epoch 2  step 1/2" in log_of(tmp_path), "the second epoch")
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert run_here(BASELINE, line).code == 0
    assert "continuing at epoch" in log_of(tmp_path)
    assert result(tmp_path) == result(trained("DanQ"))
    before = result(tmp_path)
    torch.manual_seed(99)
    assert run_here(BASELINE, line).code == 0  # a finished run
    assert result(tmp_path) == before


def test_an_lstm_network_is_deterministic_for_a_seed(bundles, trained, tmp_path):
    same, other = tmp_path / "same", tmp_path / "other"
    for folder, seed in ((same, 0), (other, 1)):
        assert run_here(BASELINE, line_of(bundles, folder, "DanQ", seed=seed)).code == 0
    assert result(same) == result(trained("DanQ"))
    assert result(other)["predictions_test-a.npy"] != result(same)["predictions_test-a.npy"]


def test_the_best_by_validation_loss_is_kept_and_tested(bundles, tmp_path):
    """Labels without sense: the loss soon rises, --patience ends it, the best was saved."""
    long, short = tmp_path / "long", tmp_path / "short"
    wild = {"learning_rate": 0.003}
    line = line_of(bundles, long, "DanQ", epochs=6, patience=2, **wild)
    assert run_here(BASELINE, line).code == 0
    losses = [float(row["valid_loss"]) for row in history(long)]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2 < 6
    assert "no better validation loss in 2 epochs: early stop" in log_of(long)
    assert f"model.pth holds the weights of epoch {best}" in log_of(long)
    assert run_here(BASELINE, line_of(bundles, short, "DanQ", epochs=best, **wild)).code == 0
    for name in ("model.pth", "predictions_test-a.npy", "test_loss-a.npy"):
        assert result(long)[name] == result(short)[name]
    assert run_here(BASELINE, line).code == 0  # still stopped when run again
    assert len(history(long)) == best + 2


def test_without_validation_the_last_epoch_is_kept(bundles, trained, tmp_path):
    line = line_of(bundles, tmp_path, "DanQ", validation=False, patience=1)
    assert run_here(BASELINE, line).code == 0
    assert {row["valid_loss"] for row in history(tmp_path)} == {""}
    assert len(history(tmp_path)) == 2
    last = load_weights(tmp_path / "checkpoint-a.pt")["objects"]["network"]
    for name, value in load_weights(tmp_path / "model.pth")["weights"].items():
        assert torch.equal(value, last[name])


def test_the_report_is_that_of_the_predictions(trained):
    folder = trained("DanQ")
    labels, predictions = (np.load(folder / f"{n}_test-a.npy") for n in ("labels", "predictions"))
    assert labels.shape == predictions.shape == (16, 5)
    report = json.loads((folder / "metrics_test-a.json").read_text())
    assert report["test_loss"] == np.load(folder / "test_loss-a.npy")
    for name, value in metrics_of(labels, predictions).items():
        assert report[name] == value, name


def test_average_of_both_strands(bundles, tmp_path):
    """The flag needs no second training."""
    toy = Toy.make(tmp_path, num_test=20, seq_size=40, reverse_complement_doubled=True)
    line = line_of(bundles, tmp_path / "run", "DanQ", **toy.data_flags())
    assert run_here(BASELINE, line).code == 0
    single = np.load(tmp_path / "run" / "predictions_test-a.npy")
    model = (tmp_path / "run" / "model.pth").read_bytes()
    assert run_here(BASELINE, [*line, "--average_reverse_complement"]).code == 0
    averaged = np.load(tmp_path / "run" / "predictions_test-a.npy")
    np.testing.assert_allclose(averaged, (single[:10] + single[10:]) / 2, rtol=1e-6)
    assert np.load(tmp_path / "run" / "labels_test-a.npy").shape == (10, 5)
    assert (tmp_path / "run" / "model.pth").read_bytes() == model
    assert len(history(tmp_path / "run")) == 2


def test_a_model_that_can_t_be_written_is_refused_before_the_training(bundles, tmp_path):
    (tmp_path / "file").touch()
    line = line_of(bundles, tmp_path / "run", "DanQ", model_path=tmp_path / "file" / "model.pth")
    assert "model.pth: can't be written" in refusal(run_here(BASELINE, line))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"learning_rate": 0}, "--learning_rate 0.0: expected a number above 0"),
        ({"learning_rate": -1}, "--learning_rate: '-1' is not a number"),
        ({"model": "danq"}, "--model: invalid choice: 'danq'"),
        ({"patience": -1}, "--patience"),
        ({"seq_size": 1000}, "1000"),
        ({"rhn_lr": 8}, "--rhn_lr"),
    ],
)
def test_wrong_flags(flags, message, bundles, tmp_path):
    model = {"model": "DanQ"} | flags
    line = [word for word in line_of(bundles, tmp_path, "DanQ") if "--model=" not in word]
    assert message in refusal(
        run_here(BASELINE, [*line, *(f"--{name}={value}" for name, value in model.items())])
    )


def test_the_learning_rate_flag(bundles, trained, tmp_path):
    assert run_here(BASELINE, line_of(bundles, tmp_path, "DanQ", learning_rate=1e-5)).code == 0
    assert history(tmp_path)[1]["train_loss"] != history(trained("DanQ"))[1]["train_loss"]
    assert "--learning_rate 1e-05" in refusal(
        run_here(BASELINE, line_of(bundles, tmp_path, "DanQ", learning_rate=1e-3))
    )


def test_two_runs_into_one_model_file(bundles, tmp_path):
    """The first one, run again, must not report the second one's model as its own."""
    line, other = (
        line_of(bundles, tmp_path / name, "DanQ", seed=seed, model_path=tmp_path / "model.pth")
        for name, seed in (("one", 0), ("two", 1))
    )
    assert run_here(BASELINE, line).code == 0
    report = (tmp_path / "one" / "metrics_test-a.json").read_bytes()
    assert run_here(BASELINE, other).code == 0
    assert "not the model that this run saved" in refusal(run_here(BASELINE, line))
    assert (tmp_path / "one" / "metrics_test-a.json").read_bytes() == report


def test_a_refused_restart_loses_nothing(bundles, tmp_path):
    line = line_of(bundles, tmp_path, "DanQ", epochs=1)
    assert run_here(BASELINE, line).code == 0
    before = (tmp_path / "checkpoint-a.pt").read_bytes()
    os.mkfifo(tmp_path / "pipe")  # as a device: never to be replaced by a file
    pipe = f"--model_path={tmp_path / 'pipe'}"
    for flag in ("--learning_rate=0", "--clip=-1", pipe):
        refusal(run_here(BASELINE, [*line, "--restart", flag]))
    assert (tmp_path / "checkpoint-a.pt").read_bytes() == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_diverged_training_names_its_own_flag(bundles, tmp_path):
    outcome = run_here(BASELINE, line_of(bundles, tmp_path, "DanQ", learning_rate=1e18))
    assert outcome.code == 3
    assert outcome.stderr.endswith(
        "epoch 1: train_loss is nan; no state was saved before; "
        "try a lower --learning_rate or --clip\n"
    )


def test_an_ncnet_rr_from_before_its_first_batchnorm_is_refused(bundles, trained, tmp_path):
    line = line_of(bundles, tmp_path, "NCNet_RR", epochs=1)
    assert run_here(BASELINE, line).code == 0
    path = tmp_path / "checkpoint-a.pt"
    state = load_weights(path)
    weights = state["objects"]["network"]
    for name in [name for name in weights if name.startswith("features.0.1.")]:
        del weights[name]  # the BatchNorm
    weights["features.0.bias"] = torch.zeros(320)
    weights["features.0.weight"] = weights.pop("features.0.0.weight")
    torch.save(state, path)
    before = path.read_bytes()
    message = refusal(run_here(BASELINE, line))
    assert message == f"{path}: doesn't fit this command; start over with --restart"
    assert path.read_bytes() == before
    assert run_here(BASELINE, [*line, "--restart"]).code == 0


def test_a_model_file_of_another_network(bundles, trained, tmp_path):
    folder = trained("DanQ")
    model = tmp_path / "model.pth"
    assert run_here(BASELINE, line_of(bundles, tmp_path, "DanQ")).code == 0
    model.write_bytes((trained("DeepSEA") / "model.pth").read_bytes())
    message = refusal(run_here(BASELINE, line_of(bundles, tmp_path, "DanQ")))
    assert "model.pth: not the model that this run saved" in message
    outcome = run_here(TEST, bundles(40).test(tmp_path / "test", folder / "model.pth"))
    assert "expected a model written by train_finalArchitecture.py" in refusal(outcome)
