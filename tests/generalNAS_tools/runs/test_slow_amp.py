from dataclasses import replace

import pytest
import torch

from generalNAS_tools.runs import slow_amp
from tests.generalNAS_tools.runs.run_cases import loop_options

LOOP = loop_options(2, 2)


def times(monkeypatch, ratio):
    """Says how long products take, and keeps what was asked for."""
    asked = []

    def seconds(dtype):
        asked.append(dtype)
        return ratio if dtype is torch.bfloat16 else 1.0

    monkeypatch.setattr(slow_amp, "_seconds", seconds)
    return asked


@pytest.mark.parametrize(("ratio", "warned"), [(0.5, False), (3.9, False), (51.2, True)])
def test_one_warning_where_bfloat16_is_imitated(monkeypatch, caplog, ratio, warned):
    times(monkeypatch, ratio)
    slow_amp.warn_of_slow_amp(replace(LOOP, amp=True))
    expected = ["--amp: bfloat16 takes 51 times as long as float32 on this processor, leave it out"]
    assert caplog.messages == expected * warned


@pytest.mark.parametrize("change", [{"amp": False}, {"device": torch.device("cuda")}])
def test_nothing_is_measured_where_it_does_not_matter(monkeypatch, change):
    asked = times(monkeypatch, 99.0)
    slow_amp.warn_of_slow_amp(replace(LOOP, **{"amp": True} | change))
    assert asked == []


def test_a_measured_product_takes_no_random_numbers():
    before = torch.get_rng_state()
    slow_amp._seconds(torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)
