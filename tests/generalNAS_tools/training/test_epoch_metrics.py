import pytest
import torch

from generalNAS_tools.training.epoch_metrics import Meter


def test_sums_travel_through_a_checkpoint():
    whole, first, second = (Meter(4, torch.device("cpu")) for _ in range(3))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(10, 4, generator=generator)
    labels = torch.rand(10, 4, generator=generator) < 0.5
    loss = torch.tensor(0.5)
    whole.update(loss, logits, labels)
    first.update(loss, logits[:6], labels[:6])
    state = first.state_dict()
    first.update(2 * loss, logits[:6], labels[:6])  # the saved sums are a copy
    second.load_state_dict(state)
    second.update(loss, logits[6:], labels[6:])
    assert second.figures() == whole.figures()
    assert second.figures().f1 != first.figures().f1
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3, 5\)"):
        Meter(5, torch.device("cpu")).load_state_dict(state)
