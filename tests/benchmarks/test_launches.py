"""How many kernels a step launches on a GPU, at the seed's full size."""

import pytest

from benchmarks.bench import count_launches
from benchmarks.settings import MeasuringOptions, Options
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.options import LengthOptions, WeightOptions

pytestmark = pytest.mark.long
MOST = {
    "supernet weight step": 7_000,
    "supernet alpha step": 7_500,
    "final-network step": 2_500,
    "inference, final network": 900,
}
STEPS = 42
"""Time steps of the recurrence at 1,000 bp; 24 bp make one."""


@pytest.fixture(scope="module")
def counts():
    """Counted for 2 and 4 time steps; each further one adds the same."""

    def count(steps):
        options = Options(
            network=FrameOptions(),
            length=LengthOptions(),
            weights=WeightOptions(),
            measuring=MeasuringOptions(seq_size=24 * steps, batch_size=2),
        )
        return count_launches(options)

    two, four = count(2), count(4)
    return {name: two[name] + (STEPS - 2) * (four[name] - two[name]) // 2 for name in two}


@pytest.mark.parametrize("name", MOST)
def test_a_step_launches_few_kernels(counts, name):
    assert 0.6 * MOST[name] < counts[name] <= MOST[name]


def test_both_steps_launch_what_each_does(counts):
    parts = counts["supernet weight step"] + counts["supernet alpha step"]
    assert counts["supernet weight + alpha step"] == pytest.approx(
        parts, rel=0.01
    )  # compiling once launches some
