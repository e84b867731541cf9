import math

import pytest
import torch

from predictors.losses import weighted_loss
from tests.conformance_data import load_json


@pytest.mark.parametrize(("loss_num", "name"), [(1, "log"), (2, "linear"), (3, "exp")])
def test_conformance(loss_num, name):
    pair = load_json("predictor_losses")
    predicted = torch.tensor(pair["predicted"], dtype=torch.float64)
    target = torch.tensor(pair["target"], dtype=torch.float64)
    loss = weighted_loss(predicted, target, loss_num)
    assert math.isclose(loss.item(), pair[f"weighted_{name}"], rel_tol=1e-9)


def test_0_is_the_mean_squared_error():
    predicted, target = torch.tensor([0.0, 1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0])
    assert weighted_loss(predicted, target, 0).item() == pytest.approx(1.25 / 3)


def test_other_numbers_are_refused():
    with pytest.raises(ValueError, match=r"--loss_num 4: expected 0\.\.3"):
        weighted_loss(torch.zeros(1), torch.zeros(1), 4)
