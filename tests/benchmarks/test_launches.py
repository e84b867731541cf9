"""How many kernels a step launches on a GPU, at the seed's full size."""

import pytest

from benchmarks.bench import count_launches
from benchmarks.settings import MeasuringOptions, Options
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.options import LengthOptions, WeightOptions

MOST = {
    "supernet weight step": 20_000,
    "supernet alpha step": 23_100,
    "final-network step": 4_300,
    "inference, final network": 1_040,
}
"""Not reached are 7,000, 7,500, 2,500 and 900: the recurrence's time steps aren't fused."""
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
def test_a_step_launches_no_more_kernels_than_it_did(counts, name):
    assert 0.95 * MOST[name] < counts[name] <= MOST[name]


def test_both_steps_launch_what_each_does(counts):
    parts = counts["supernet weight step"] + counts["supernet alpha step"]
    assert counts["supernet weight + alpha step"] == pytest.approx(parts, abs=5)
