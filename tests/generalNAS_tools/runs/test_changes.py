import re

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from generalNAS_tools.runs.changes import (
    CHANGES,
    FREE_FLAGS,
    RATE_FLAGS,
    change_column,
    continued,
    load_states,
)
from tests.scripts.in_process import ROOT

EPOCHS = 7
OSP = ROOT / "train_genomicOSP_NAS.py"


def scheduled(*rates, end=1e-3):
    """An SGD with a rate per group, on a cosine."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    return {
        "optimizer": optimizer,
        "schedule": CosineAnnealingLR(optimizer, EPOCHS, eta_min=end),
    }


def step(objects, times):
    rates = []
    for _ in range(times):
        objects["optimizer"].step()
        objects["schedule"].step()
        rates.append([group["lr"] for group in objects["optimizer"].param_groups])
    return rates


def states(objects):
    return {name: target.state_dict() for name, target in objects.items()}


@pytest.mark.parametrize("passed", range(EPOCHS))
def test_other_rates_go_on_as_if_they_had_always_been(passed):
    old, new, whole = (
        scheduled(0.1, 8.0),
        scheduled(0.05, 2.0, end=0.0),
        scheduled(0.05, 2.0, end=0),
    )
    step(old, passed)
    load_states(new, states(old))
    expected = step(whole, EPOCHS)
    groups = new["optimizer"].param_groups
    if passed:
        assert [group["lr"] for group in groups] == pytest.approx(expected[passed - 1])
    for found, rates in zip(step(new, EPOCHS - passed), expected[passed:], strict=True):
        assert found == pytest.approx(rates)


def test_the_same_rates_go_on_bit_by_bit():
    old, new = scheduled(0.1, 8.0), scheduled(0.1, 8.0)
    step(old, 3)
    load_states(new, states(old))
    assert step(new, 4) == step(old, 4)


def test_a_change_is_kept_by_whoever_goes_on_later():
    old, changed, later = scheduled(0.1), scheduled(0.05), scheduled(0.05)
    step(old, 3)
    load_states(changed, states(old))
    step(changed, 2)
    load_states(later, states(changed))
    assert step(later, 2) == step(changed, 2)


def test_rates_without_a_schedule():
    def adam(rate):
        return {"optimizer": torch.optim.Adam([nn.Parameter(torch.ones(1))], rate)}

    old, new = adam(0.1), adam(0.02)
    old["optimizer"].param_groups[0]["params"][0].grad = torch.ones(1)
    old["optimizer"].step()
    load_states(new, states(old))
    assert new["optimizer"].param_groups[0]["lr"] == 0.02
    assert len(new["optimizer"].state_dict()["state"]) == 1


OLD = {"rhn_lr": 8.0, "clip": 0.25, "layers": 2}


def go_on(old, epoch=3, **new):
    return continued(old, OLD | {"allow_changed_rates": True} | new, source="c.pt", epoch=epoch)


def test_changes_are_recorded_by_epoch():
    assert CHANGES not in go_on(OLD)
    first = go_on(OLD, rhn_lr=2.0)
    assert first[CHANGES] == {"3": {"rhn_lr": [8.0, 2.0]}}
    again = go_on(first, rhn_lr=1.0, clip=0.1)  # still in the same epoch
    assert again[CHANGES] == {"3": {"rhn_lr": [8.0, 1.0], "clip": [0.25, 0.1]}}
    later = go_on(again, epoch=9, rhn_lr=1.0, clip=0.2)
    assert later[CHANGES] == again[CHANGES] | {"9": {"clip": [0.1, 0.2]}}
    assert change_column(later, 3) == {CHANGES: "rhn_lr 8.0 → 1.0, clip 0.25 → 0.1"}
    assert change_column(later, 4) == change_column(OLD, 3) == {}


def test_only_rates_may_change_and_only_with_permission():
    with pytest.raises(ValueError, match=r"^c\.pt: .*--rhn_lr 8.0, now it is 2.0; .*allow_changed"):
        go_on(OLD, rhn_lr=2.0, allow_changed_rates=False)
    with pytest.raises(ValueError, match=r"--layers 2, now it is 3; give the old value, another"):
        go_on(OLD, layers=3)
    assert not FREE_FLAGS & RATE_FLAGS


def test_every_name_is_a_flag_s():
    fields = re.findall(
        r"^    (\w+): .* = (?:flag|switch)\(",
        "".join(path.read_text() for path in (OSP, *ROOT.glob("*_*/**/*.py"))),
        re.MULTILINE,
    )
    assert set(fields) >= FREE_FLAGS | RATE_FLAGS
