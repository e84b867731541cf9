import argparse

import pytest

from generalNAS_tools.runs.options import (
    add_alpha_options,
    add_boolean,
    add_data_options,
    add_network_options,
    add_run_options,
    add_weight_options,
    boolean,
    make_parser,
    network_options,
    real,
    whole,
)


def full_parser():
    parser = make_parser("a test")
    add_data_options(parser)
    add_network_options(parser)
    add_weight_options(parser)
    add_run_options(parser, save_dir="results/x")
    add_alpha_options(parser, learning_rate=0.5)
    return parser


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
def test_spellings_of_a_boolean(words, expected, default):
    parser = make_parser(None)
    add_boolean(parser, "flag", default=default, help="x")
    assert parser.parse_args(words).flag is expected
    assert parser.parse_args([]).flag is default


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
        ["--momentum=1.5"],
        ["--batch_size=1"],
        ["--epochs=2.0"],
        ["--init_channels=1"],
        ["--seed=-1"],
        ["--task=x"],
        ["stray"],
        ["stray\nlines"],
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        full_parser().parse_args(words)
    assert leaving.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith("\n")
    assert len(error.splitlines()) == 1
    assert words[0].partition("=")[0].split()[0] in error


def test_defaults_of_the_specification():
    args = full_parser().parse_args([])
    rates = {"cnn_lr": 0.025, "rhn_weight_decay": 5e-7, "cnn_weight_decay": 3e-4}
    clipping = {"one_clip": True, "clip": 0.25, "conv_clip": 5, "rhn_clip": 0.25}
    rest = {"beta": 1e-3, "momentum": 0.9, "validation": True, "restart": False, "amp": False}
    for name, value in (rates | clipping | rest).items():
        assert getattr(args, name) == value, name
    assert (args.arch_lr, args.arch_weight_decay, args.save_dir) == (0.5, 1e-3, "results/x")


def test_numeric_limits():
    assert whole(2)("2") == 2
    assert whole(0)(str(2**63 - 1)) == 2**63 - 1
    assert real(0, 1)("1") == 1.0
    assert real(-1)("-1") == -1.0
    for convert, text in (
        (whole(2), "1"),
        (whole(0), str(2**63)),
        (whole(0), "1e3"),
        (whole(0), ""),
        (real(0, 1), "1.01"),
        (real(0), "-0.1"),
        (real(0), "nan"),
        (real(0), "x"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a"):
            convert(text)


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as leaving:
        full_parser().parse_args(["--help"])
    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for flag in ("--one_clip", "--no-one_clip", "--rhn_lr", "(default: 8.0)", "--seq_size"):
        assert flag in text


def test_network_options_come_from_flags_and_data():
    args = full_parser().parse_args(["--init_channels=4", "--layers=3", "--dropouth=0.2"])
    options = network_options(args, seq_size=50, num_targets=7)
    assert (options.seq_size, options.num_targets, options.init_channels) == (50, 7, 4)
    assert (options.layers, options.dropoutx, options.dropouth) == (3, 0.1, 0.2)
