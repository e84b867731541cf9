"""The data of comparisons that have a baseline."""

import pytest

from tests.scripts.runs import Toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    # long enough for DanQ, but not for DeepSEA: at its 163 bp a comparison takes minutes
    return Toy.make(tmp_path_factory.mktemp("toy"), num_valid=12, num_test=20, seq_size=40)
