import argparse
import sys
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import ClassVar

import pytest
import torch

from generalNAS_tools.runs.flags import (
    MAX_COUNT,
    SEED,
    as_config,
    boolean,
    flag,
    parse_options,
    real,
    switch,
    whole,
)
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import (
    Clipping,
    DataOptions,
    RunOptions,
    TrainingOptions,
    WeightOptions,
)

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Flags of every kind."""

    title: ClassVar = "lists"
    rates: tuple = flag(real(0.0), (0.5,), "several")
    on: bool = switch(True, "first")
    off: bool = switch(False, "second")


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    lists: ListOptions


@pytest.fixture
def parse(monkeypatch):
    def read(words, **defaults):
        monkeypatch.setattr(sys, "argv", ["script.py", *words])
        return parse_options(Options, "a test", **{"save_dir": "results/x"} | defaults)

    return read


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--flag"], True),
        (["--flag=True"], True),
        (["--flag=False"], False),
        (["--flag", "False"], False),
        (["--flag=yes"], True),
        (["--flag=0"], False),
        (["--no-flag"], False),
        (["--flag", "--no-flag"], False),
        (["--no-flag", "--flag"], True),
    ],
)
def test_spellings_of_a_boolean(parse, words, expected, default):
    name = "on" if default else "off"
    words = [word.replace("flag", name) for word in words]
    assert getattr(parse(words).lists, name) is expected
    assert getattr(parse([]).lists, name) is default


@pytest.mark.parametrize("text", ["maybe", "", "2", "Tru", "None"])
def test_other_values_are_no_booleans(text):
    with pytest.raises(argparse.ArgumentTypeError, match="neither True nor False"):
        boolean(text)


@pytest.mark.parametrize(
    "words",
    [
        ["--validation=maybe"],
        ["--validation="],
        ["--no-validation=True"],
        ["--valid"],
        ["--epoch=3"],
        ["--num_step", "3"],
        ["--clip", "-1"],
        ["--clip=inf"],
        ["--dropoutx=1"],
        ["--head_dropout=1.0"],
        ["--report_freq=10.5"],
        ["--report_freq=.0"],
        ["--task=next_character_prediction"],
        ["--wdecay=-1"],
        ["--momentum=1.5"],
        ["--batch_size=1"],
        ["--epochs=2.0"],
        ["--init_channels=1"],
        ["--seed=-1"],
        ["--task=x"],
        ["--epochs=--"],
        ["--rates=--"],
        ["--on=--"],
        ["--save=--"],
        ["--save="],
        ["--cnn_lr=1e300"],
        ["--epochs=1000000000000"],
        ["stray"],
        ["stray\nlines"],
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(parse, words, capsys):
    with pytest.raises(SystemExit) as leaving:
        parse(words)
    assert leaving.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith("\n")
    assert len(error.splitlines()) == 1
    assert words[0].partition("=")[0].split()[0] in error


def test_defaults_of_the_specification(parse):
    options = as_config(parse([], epochs=7))
    rates = {"cnn_lr": 0.025, "rhn_weight_decay": 5e-7, "cnn_weight_decay": 3e-4}
    rates |= {"learning_rate_min": 0.0, "head_dropout": 0.1}
    clipping = {"one_clip": True, "clip": None, "conv_clip": 5, "rhn_clip": 0.25}
    rest = {"beta": 1e-3, "momentum": 0.9, "validation": True, "restart": False, "amp": False}
    own = {"save_dir": "results/x", "epochs": 7, "rates": (0.5,)}
    for name, value in (rates | clipping | rest | own).items():
        assert options[name] == value, name
    assert WeightOptions().clipping.together == 0.25


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """A flag of today under the name of an inert one, and one under an old name."""

    title: ClassVar = "workers"
    workers: int = flag(whole(1), 2, "processes")
    wdecay: float = flag(real(0.0), 0.5, "of something else")


@dataclass(frozen=True, kw_only=True)
class WorkingOptions(TrainingOptions):
    workers: WorkerOptions


def test_a_script_s_own_flag_goes_before_one_of_2021(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py", "--workers=3", "--wdecay=0.25", "--gpu"])
    options = as_config(parse_options(WorkingOptions, "a test"))
    assert (options["workers"], options["wdecay"], options["rhn_weight_decay"]) == (3, 0.25, 5e-7)
    assert capsys.readouterr().err.endswith("as in 2021: --gpu\n")


def test_only_options_that_ask_for_them_take_old_flags(monkeypatch, capsys):
    @dataclass(frozen=True, kw_only=True)
    class Other:
        workers: WorkerOptions

    monkeypatch.setattr(sys, "argv", ["script.py", "--gpu=0"])
    monkeypatch.setitem(globals(), "Other", Other)
    with pytest.raises(SystemExit):
        parse_options(Other, "a test")
    assert "unrecognized arguments: --gpu=0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [("1000.0", 1000), ("1000", 1000), ("7.", 7), ("12.000", 12)],
)
def test_report_freq_takes_2021_s_form(words, expected, parse):
    assert parse([f"--report_freq={words}"]).run.report_freq == expected


def test_options_are_typed_and_frozen(parse):
    options = parse(["--rates", "0.5", "2", "--cnn_lr=1"])
    assert options.lists.rates == (0.5, 2.0)
    assert options.weights == WeightOptions(cnn_lr=1.0)
    with pytest.raises(FrozenInstanceError):
        options.weights.cnn_lr = 2.0


def test_numeric_limits():
    assert whole(2)("2") == 2
    assert whole(0)(str(MAX_COUNT)) == MAX_COUNT
    assert SEED(str(2**63 - 1)) == 2**63 - 1
    assert real(0)("1e18") == 1e18
    assert real(0, 1)("1") == 1.0
    assert real(-1)("-1") == -1.0
    for convert, text in (
        (whole(2), "1"),
        (whole(0), str(MAX_COUNT + 1)),
        (SEED, str(2**63)),
        (real(0), "1e300"),
        (whole(0), "1e3"),
        (whole(0), ""),
        (real(0, 1), "1.01"),
        (real(0), "-0.1"),
        (real(0), "nan"),
        (real(0), "x"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a"):
            convert(text)


def test_help_names_every_flag_with_its_default(parse, capsys):
    with pytest.raises(SystemExit) as leaving:
        parse(["--help"])
    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "--one_clip",
        "--no-one_clip",
        "--rhn_lr",
        "(default: 8.0)",
        "--seq_size",
        "lists: --rates",
    ):
        assert words in text
    assert "None" not in text


@pytest.mark.parametrize(("words", "says"), [(["--help"], "its name\n"), ([], "required: --name")])
def test_a_flag_that_must_be_given_has_no_default(monkeypatch, capsys, words, says):
    @dataclass(frozen=True, kw_only=True)
    class Named:
        title: ClassVar = None
        name: str = flag(str, ..., "its name")

    @dataclass(frozen=True, kw_only=True)
    class Command:
        named: Named

    monkeypatch.setitem(globals(), "Named", Named)
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    with pytest.raises(SystemExit):
        parse_options(Command, "a test")
    assert says in "".join(capsys.readouterr())


def test_network_options_come_from_flags_and_data(parse):
    words = ["--init_channels=4", "--layers=3", "--dropouth=0.2", "--head_dropout=0.4"]
    frame = parse(words).network
    options = frame.network(seq_size=50, num_targets=7)
    assert (options.seq_size, options.num_targets, options.init_channels) == (50, 7, 4)
    assert (options.layers, options.dropoutx, options.dropouth) == (3, 0.1, 0.2)
    assert options.head_dropout == 0.4


def test_options_of_an_epoch():
    data = DataOptions(batch_size=3, num_steps=4)
    run = RunOptions(seed=5, amp=True, report_freq=6, report_validation=2)
    weights = WeightOptions(beta=0.5, one_clip=False, clip=1.0, conv_clip=2.0, rhn_clip=3.0)
    expected = LoopOptions(3, 4, 5, CPU, True, 0.5, Clipping(None, 2.0, 3.0), 6, 2)
    assert LoopOptions.of(data, run, CPU, weights=weights) == expected
    assert LoopOptions.of(data, run, CPU) == replace(expected, beta=0.0, clipping=None)


@pytest.mark.parametrize(("validation", "expected"), [(True, [2, 5]), (False, [])])
def test_when_to_validate(validation, expected):
    run = RunOptions(validation=validation, report_validation=3)
    loop = LoopOptions.of(DataOptions(), run, CPU)
    assert [epoch for epoch in range(7) if loop.validates(epoch)] == expected


def test_amp_runs_matrix_work_in_bfloat16():
    x = torch.ones(2, 2)
    for amp, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        with LoopOptions(1, 1, 0, CPU, amp=amp).autocast():
            assert (x @ x).dtype == dtype
