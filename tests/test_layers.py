"""DESIGN's floors, STYLE's sizes and the ban on pickles hold in the whole project."""

from pathlib import Path

import pytest

from tests.layers import (
    MAX_FUNCTION,
    MAX_MODULE,
    MAX_PROJECT,
    circle_errors,
    layer_errors,
    pickle_errors,
    read_project,
    size_errors,
)

PROJECT = read_project(Path(__file__).parents[1])
CHECKS = [layer_errors, circle_errors, size_errors, pickle_errors]


@pytest.mark.parametrize("check", CHECKS)
def test_the_project_keeps_the_rule(check):
    assert "generalNAS_tools.search_space.genotypes" in PROJECT
    assert check(PROJECT) == []


def made_up(root, **sources):
    """A tree of modules; `__` in a name stands for a folder."""
    for name, source in sources.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return read_project(root)


GOOD = {
    "generalNAS_tools__search_space__genotypes": "import os",
    "generalNAS_tools__search_space__edge_masks": "from . import genotypes",
    "generalNAS_tools__networks__cnn__cells": (
        "from generalNAS_tools.search_space.edge_masks import x\n"
    ),
    "generalNAS_tools__networks__rhn__cells": "from generalNAS_tools.search_space import genotypes",
    "generalNAS_tools__networks__frame": "from generalNAS_tools.networks.rhn.cells import x\n",
    "generalNAS_tools__files__model_files": "from generalNAS_tools.networks import frame\n",
    "generalNAS_tools__runs__command": "import generalNAS_tools.files.model_files",
    "generalNAS_tools__training__step": "from generalNAS_tools.runs.command import x",
    "darts_tools__alphas": "from generalNAS_tools.training.step import x\nfrom .stages import y\n",
    "darts_tools__stages": "import numpy\nnumpy.load(p, allow_pickle=False)\n",
    "samplers__random": "def f():\n    from darts_tools import alphas\n",
    "BO_tools__ucb": "from samplers.random import f\ntorch.load(p, weights_only=True)",
    "train_genomicX": "from BO_tools import ucb\nimport generalNAS_tools.runs.command\nprint(1)\n",
    "baseline_models__danq": "from generalNAS_tools.search_space.genotypes import NONE",
    "baseline_models__train_baseline": "from baseline_models.danq import x\nimport BO_tools.ucb",
    "generalNAS_tools__test_finalArchitecture": "import generalNAS_tools.training.step",
    "tests__anything": "import pickle\nprint(1)",
    ".venv__anything": "import pickle\nprint(1)",
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_tree_passes(tmp_path, check):
    modules = made_up(tmp_path, **GOOD)
    assert len(modules) == len(GOOD) - 2
    assert check(modules) == []


@pytest.mark.parametrize(
    ("module", "source", "error"),
    [
        (
            "generalNAS_tools__search_space__genotypes",
            "import darts_tools.alphas",
            "imports darts_tools.alphas",
        ),
        (
            "generalNAS_tools__data__new",
            "def f():\n from samplers import random",
            "samplers.random",
        ),
        (
            "generalNAS_tools__data__new",
            "from generalNAS_tools.runs import command",
            "runs.command",
        ),
        ("generalNAS_tools__data__new", "import generalNAS_tools.pictures.x", "pictures"),
        (
            "generalNAS_tools__networks__cnn__new",
            "from generalNAS_tools.networks.rhn.cells import x",
            "networks.rhn.cells, not below it",
        ),
        (
            "generalNAS_tools__networks__cnn__new",
            "from generalNAS_tools.networks.frame import x",
            "networks.frame, not below it",
        ),
        (
            "generalNAS_tools__runs__new",
            "from generalNAS_tools.training.step import x",
            "training.step, not below it",
        ),
        ("generalNAS_tools__loose", "", "generalNAS_tools.loose has no floor"),
        ("darts_tools__new", "from predictors import gcn", "imports predictors.gcn"),
        ("darts_tools__new", "from baseline_models import danq", "imports baseline_models.danq"),
        ("darts_tools__new", "from baseline_models.danq import x", "imports baseline_models.danq"),
        ("samplers__new", "if x:\n import BO_tools.ucb", "imports BO_tools.ucb, not below"),
        ("BO_tools__new", "from train_genomicX import main", "the script train_genomicX"),
        ("train_genomicY", "import train_genomicX", "imports the script train_genomicX"),
        ("baseline_models__new", "from . import train_baseline", "script baseline_models.train"),
        ("train_genomicY", "import generalNAS_tools.test_finalArchitecture", "imports the script"),
        ("somewhere__new", "", "somewhere.new has no floor"),
        ("loose", "", "loose has no floor"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, module, source, error):
    others = {"predictors__gcn": "", "generalNAS_tools__pictures__x": ""}
    errors = layer_errors(made_up(tmp_path, **(GOOD | others | {module: source})))
    assert len(errors) == 1
    assert error in errors[0]


@pytest.mark.parametrize(
    ("module", "source", "circle"),
    [
        ("genotypes", "import generalNAS_tools.search_space.edge_masks", "search_space.edge_masks"),
        ("genotypes", "from . import genotypes", "search_space.genotypes"),
    ],
)
def test_a_circle_is_found(tmp_path, module, source, circle):
    tree = GOOD | {f"generalNAS_tools__search_space__{module}": source}
    error = f"generalNAS_tools.{circle} imports itself in a circle"
    assert error in circle_errors(made_up(tmp_path, **tree))


def function_of(lines):
    return "def long():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (function_of(MAX_FUNCTION + 1), "samplers.new.long has 41 lines"),
        ("class A:\n    async " + function_of(42).replace("\n", "\n    "), "new.long has 42 lines"),
        ("x = 1\n" * (MAX_MODULE + 1), "samplers.new has 251 lines"),
    ],
)
def test_too_long_code_is_found(tmp_path, source, error):
    errors = size_errors(made_up(tmp_path, **GOOD, samplers__new=source))
    assert len(errors) == 1
    assert error in errors[0]


def test_the_largest_sizes_pass(tmp_path):
    longest = function_of(MAX_FUNCTION)
    full = longest + "x = 1\n" * (MAX_MODULE - MAX_FUNCTION)
    assert size_errors(made_up(tmp_path, samplers__new=full)) == []


def test_a_project_too_large_is_found(tmp_path):
    modules = -(-MAX_PROJECT // MAX_MODULE)
    many = {f"samplers__new{number}": "x = 1\n" * MAX_MODULE for number in range(modules)}
    assert size_errors(made_up(tmp_path, **many)) == [
        f"the project has {modules * MAX_MODULE} lines of code"
    ]


def test_docstrings_comments_and_blank_lines_are_no_code(tmp_path):
    text = 'def f():\n    """One.\n\n    Two.\n    """\n' + "    # why\n\n" * 45 + "    return 1\n"
    assert size_errors(made_up(tmp_path, **GOOD, samplers__new=text)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(f)",
        "import pickle\npickle.Unpickler(f)",
        "import pickle\ngetattr(pickle, 'load')(f)",
        "import os, pickle as p",
        "from pickle import loads",
        "from pickle import *",
        "import shelve",
        "def f():\n    import dill",
        "import torch\ntorch.load(p)",
        "import torch\ntorch.load(p, weights_only=False)",
        "import torch\ntorch.load(p, weights_only=flag)",
        "from torch import load",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import numpy as np\nnp.load(p, None, True)",
        "import numpy as np\nnp.save(p, a, allow_pickle=flag)",
    ],
)
def test_ways_to_run_a_pickle_are_found(tmp_path, source):
    errors = pickle_errors(made_up(tmp_path, **GOOD, samplers__new=source))
    assert len(errors) == 1
    assert errors[0].startswith("samplers.new:")


def test_the_restricted_reader_may_import_pickle(tmp_path):
    source = "import pickle\npickle.Unpickler(f)"
    tree = GOOD | {"generalNAS_tools__files__pickled_genotypes": source}
    assert pickle_errors(made_up(tmp_path, **tree)) == []


def test_a_pickle_s_errors_may_be_caught(tmp_path):
    source = "import pickle\ntry:\n    f()\nexcept pickle.UnpicklingError:\n    pass\n"
    assert pickle_errors(made_up(tmp_path, **GOOD, samplers__new=source)) == []
