"""Bad values for every flag of every script, as its own parser lists them."""

import argparse
from unittest import mock

from generalNAS_tools.runs.flags import boolean
from tests.robustness.contract import Case
from tests.scripts.in_process import SCRIPTS, command_line, run_script
from tests.scripts.runs import TEST

NOT_A_NUMBER = ("x", "", "--", "nan", "inf", "1,5", "None", "[1]", "1e", "0x10", "-1", "1e300")
NOT_WHOLE = ("1.5", "1e3", "9" * 30, "9" * 5000, "1000000000000")
NOT_BOOLEAN = ("maybe", "", "--", "nan", "2", "-1", "[]", "9" * 30)
NO_TEXT = ("", "--")
LONG = "n" * 300
UNUSABLE = {
    "{file}/below": "a file where a folder should be",
    "/proc/nowhere/at all": "a file system without files of ours",
    LONG: "a name too long",
}
"""Paths that nothing can be written to, nor read from."""
OUTPUTS = {"save_dir", "cache_dir", "model_path", "directory", "out"}
UNREAD = {"test_directory", "peaks", "peaks_table", "exclude", "valid_chroms", "test_chroms"}
"""What a script may not look at."""
TRAINING = {"train_directory", "valid_directory"}
SIZES = {
    "layers": (40, 50),
    "init_channels": (10**6, 10**9),
    "num_samples": (10**9, 2**63 - 1),
    "init_num": (10**9, 2**63 - 1),
    "bo_sample_num": (1000, 10**9),
    "generate_num": (1, 10**9),
    "iterations": (2**63 - 1,),
    "brackets": (16, 10**9),
    "num_init_archs": (0, 113, 10**9),
    "num_ops": (0, 1),
    "num_keep_cnn": (0, 10, 10**9),
    "num_keep_rnn": (0, 10, 10**9),
    "max_skip_connects": (15, 10**9),
    "num_train": (10**9,),
    "num_valid": (10**9,),
    "num_test": (10**9,),
    "num_targets": (10**9,),
    "seq_size": (1, 10**9),
}
"""Sizes that fit neither memory nor what is there."""
BASE = {
    "batch_size": 8, "num_steps": 1, "epochs": 1, "frozen_epochs": 0, "init_channels": 2,
    "layers": 1, "save": "a", "device": "cpu", "num_samples": 2, "budget": 1, "iterations": 1,
    "init_num": 2, "bo_sample_num": 2, "generate_num": 4, "train_supernet_epochs": 0,
    "super_batch_size": 8, "sub_batch_size": 8, "recalibration_steps": 1, "gcn_epochs": 1,
    "num_init_archs": 8, "num_ops": 4, "pretrain_epochs": 1, "num_train": 4, "num_valid": 4,
    "num_test": 4, "seq_size": 200, "num_targets": 3,
}  # fmt: skip
"""The smallest run of any script, by flag."""


class Parsed(BaseException):
    """Stops a script where it would parse its command line."""


def actions(script):
    """The flags of a script by name, as its parser holds them."""

    def parse_args(parser):
        raise Parsed(parser)

    with mock.patch("argparse.ArgumentParser.parse_args", parse_args):
        try:
            run_script(script, [])
        except Parsed as stopped:
            parser = stopped.args[0]
    hidden = argparse.SUPPRESS
    flags = [a for a in parser._actions if a.help != hidden and a.dest != "help"]
    return {a.option_strings[0].removeprefix("--"): a for a in flags}


def base_line(script, flags, scene):
    """The words of a script's smallest run, by flag."""
    values = BASE | scene.files() | scene.network_files()
    if not script.startswith("data_generators"):
        values.pop("seq_size")
    if script.endswith("train_baseline.py"):
        values["model"] = "DanQ"
    if script.endswith("mutate_sequences.py"):
        values["targets"] = "0"
    if not script.endswith("score_variants.py"):
        values.pop("genome")  # others take it in place of --fasta
    if "fasta" in flags and flags["fasta"].nargs is None:
        values["fasta"] = values["fasta"][0]
    return {name: command_line({name: values[name]}) for name in flags if name in values}


def bad_values(name, action):
    """Values that a flag must refuse, as lists of words after it."""
    if action.nargs == 0:  # --no-flag
        return [f"--{name}={value}" for value in ("", "--", "x", "True")]
    if action.type is boolean:
        return [f"--{name}={value}" for value in NOT_BOOLEAN]
    if action.choices is not None:
        return [f"--{name}={value}" for value in ("other", "", "--", "-1", "9" * 30)]
    if name == "device":
        return [f"--{name}={value}" for value in ("abacus", "", "--", "cuda:99", "meta", "cpu:x")]
    if isinstance(action.type("1") if _takes(action, "1") else 1, int | float):
        whole = NOT_WHOLE if not _takes(action, "0.5") else ()
        whole = whole[:-1] if name == "seed" else whole  # any 64 bits are a seed
        return [f"--{name}={value}" for value in NOT_A_NUMBER + whole]
    none = NO_TEXT if action.default != "" else NO_TEXT[1:]
    return [f"--{name}={value}" for value in (none if name == "save" else (*none, *UNUSABLE))]


def _takes(action, text):
    try:
        action.type(text)
    except argparse.ArgumentTypeError:
        return False
    return True


def flag_cases(scene, *, every_script):
    """A case for every bad value of every flag; of a flag in many scripts in one, or in all."""
    seen = set()
    for script in SCRIPTS:
        flags = actions(script)
        base = base_line(script, flags, scene)
        line = [word for words in base.values() for word in words]
        yield Case(script, [*line, "--no_such_flag=1"], ("--no_such_flag",))
        yield Case(script, ["stray", *line], ("stray",))
        for name, action in flags.items():
            kind = (name, str(action.choices), action.nargs)
            if kind in seen and not every_script:
                continue
            seen.add(kind)
            others = [word for flag, words in base.items() if flag != name for word in words]
            if action.nargs == "+":
                yield Case(script, [*others, f"--{name}"], (f"--{name}",))
                wrong = "" if _takes(action, "x") else "x"
                yield Case(script, [*others, f"--{name}", "1", wrong], (f"--{name}",))
            sizes = [f"--{name}={size}" for size in SIZES.get(name, ()) if _sized(script, name)]
            for word in [*bad_values(name, action), *sizes]:
                word = word.format(file=scene.file) if "{" in word else word
                value = word.partition("=")[2]
                unread = name in UNREAD or (script == TEST and name in TRAINING)
                codes = {0, 2} if unread and len(value) > 2 else {2}
                names = (f"--{name}", value[:40]) if len(value) > 2 else (f"--{name}",)
                yield Case(script, [*others, word], names, frozenset(codes))


def _sized(script, name):
    """Whether a size is bad in this script too: one bp is only another set's length."""
    return name != "iterations" or "BONAS" not in script


def edge_cases(scene):
    """The ends of every number's range: odd, but allowed, so they may end in any orderly way."""
    for script in SCRIPTS:
        flags = actions(script)
        base = base_line(script, flags, scene)
        for name, action in flags.items():
            if action.nargs == 0 or action.choices is not None or action.type is boolean:
                continue
            others = [word for flag, words in base.items() if flag != name for word in words]
            for value in ("0", "1", "1e-300", "1e18"):
                if _takes(action, "0.5") and not _takes(action, "x") and _takes(action, value):
                    yield Case(script, [*others, f"--{name}={value}"], (), frozenset({0, 2, 3}))
