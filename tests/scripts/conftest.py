"""One toy bundle for all tests of the scripts, and the results of undisturbed runs on it."""

import pytest

from tests.scripts.runs import FINAL, SEARCH, Toy, run_here


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return Toy.make(
        tmp_path_factory.mktemp("toy"),
        num_valid=12,
        num_test=20,
        reverse_complement_doubled=True,
    )


@pytest.fixture(scope="session")
def searched(toy):
    """Folder of a finished search."""
    folder = toy.folder / "searched"
    assert run_here(SEARCH, toy.search(folder)).code == 0
    return folder


@pytest.fixture(scope="session")
def trained(toy):
    """Folder of a finished final training."""
    folder = toy.folder / "trained"
    assert run_here(FINAL, toy.final(folder)).code == 0
    return folder
