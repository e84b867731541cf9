"""Baselines: sizes against hand-computed counts, shortest lengths, optimizers, determinism."""

import pytest
import torch
from torch import nn, optim

from baseline_models.networks import BASELINES, baseline_optimizer, build_baseline

NAMES = tuple(BASELINES)
SHORTEST = {"DeepSEA": 163, "DanQ": 38, "NCNet_RR": 38, "NCNet_bRR": 38}

# Worked out on paper for L = 1000 and 919 targets.
# DeepSEA: lengths 1000 -> 993 -> 248 -> 241 -> 60 -> 53.
DEEPSEA = (
    (4 * 8 * 320 + 320)
    + (320 * 8 * 480 + 480)
    + (480 * 8 * 960 + 960)
    + (53 * 960 * 925 + 925)
    + (925 * 919 + 919)
)
# Everything after DanQ's convolution: 1000 -> 975 -> 75 steps; 4 gates, 2 biases, 2 directions.
LSTM = 2 * 4 * (320 * 320 + 320 * 320 + 320 + 320)
HEAD = LSTM + (75 * 640 * 925 + 925) + (925 * 919 + 919)
STEM = 4 * 26 * 320 + 320
BASIC_BLOCK = 2 * (320 * 26 * 320 + 2 * 320)
FIRST_BLOCK = (160 * 40 + 2 * 40) + (40 * 15 * 40 + 2 * 40) + (40 * 160 + 2 * 160)
WIDENING = (160 * 80 + 2 * 80) + (80 * 15 * 80 + 2 * 80) + (80 * 320 + 2 * 320)
PROJECTION = 160 * 320 + 2 * 320
LAST_BLOCK = (320 * 80 + 2 * 80) + (80 * 15 * 80 + 2 * 80) + (80 * 320 + 2 * 320)
COUNTS = {
    "DeepSEA": (DEEPSEA, 52_843_119),
    "DanQ": (STEM + HEAD, 46_929_039),
    "NCNet_RR": ((4 * 26 * 320 + 2 * 320) + 2 * BASIC_BLOCK + HEAD, 57_581_519),
    "NCNet_bRR": (
        (4 * 26 * 160 + 2 * 160) + 4 * FIRST_BLOCK + WIDENING + PROJECTION + 3 * LAST_BLOCK + HEAD,
        47_693_199,
    ),
}


def one_hot(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    bases = torch.randint(4, (batch, length), generator=generator)
    return nn.functional.one_hot(bases, 4).transpose(1, 2).float()


def train(name: str, seed: int, *, steps: int = 2) -> tuple[list[float], nn.Module]:
    torch.manual_seed(seed)
    length = SHORTEST[name] + 13
    network = build_baseline(name, seq_size=length, num_targets=3)
    optimizer = baseline_optimizer(name, network)
    x, y = one_hot(2, length), torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    losses = []
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, network


@pytest.mark.parametrize("name", NAMES)
def test_parameter_count_is_the_hand_computed_one(name: str) -> None:
    with torch.device("meta"):
        network = build_baseline(name, seq_size=1000, num_targets=919)
    by_layers, by_hand = COUNTS[name]
    assert by_layers == by_hand
    assert sum(p.numel() for p in network.parameters()) == by_hand


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("extra", [0, 12, 13])
def test_every_length_from_the_shortest_gives_logits(name: str, extra: int) -> None:
    length = SHORTEST[name] + extra
    network = build_baseline(name, seq_size=length, num_targets=5).eval()
    logits = network(one_hot(2, length))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_output_is_not_squashed_into_probabilities(name: str) -> None:
    network = build_baseline(name, seq_size=170, num_targets=2).eval()
    with torch.no_grad():
        list(network.modules())[-1].bias.copy_(torch.tensor([50.0, -50.0]))
    first, second = network(one_hot(1, 170))[0].tolist()
    assert first > 40
    assert second < -40


@pytest.mark.parametrize("name", NAMES)
def test_one_base_too_few_is_refused_with_the_shortest_length(name: str) -> None:
    shortest = SHORTEST[name]
    with pytest.raises(ValueError, match=rf"{shortest - 1} bp: {name} .* at least {shortest} bp"):
        build_baseline(name, seq_size=shortest - 1, num_targets=1)


@pytest.mark.parametrize("name", NAMES)
def test_no_targets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="num_targets 0"):
        build_baseline(name, seq_size=1000, num_targets=0)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'danq'.*DeepSEA, DanQ, NCNet_RR, NCNet_bRR"):
        build_baseline("danq", seq_size=1000, num_targets=1)
    with pytest.raises(ValueError, match=r"'danq'.*DeepSEA, DanQ, NCNet_RR, NCNet_bRR"):
        baseline_optimizer("danq", nn.Linear(1, 1))


def test_deepsea_trains_with_momentum_sgd() -> None:
    optimizer = baseline_optimizer("DeepSEA", nn.Linear(2, 1))
    assert isinstance(optimizer, optim.SGD)
    settings = optimizer.param_groups[0]
    assert (settings["momentum"], settings["weight_decay"]) == (0.9, 5e-7)
    assert settings["lr"] == BASELINES["DeepSEA"].learning_rate


@pytest.mark.parametrize("name", ["DanQ", "NCNet_RR", "NCNet_bRR"])
def test_recurrent_baselines_train_with_rmsprop(name: str) -> None:
    optimizer = baseline_optimizer(name, nn.Linear(2, 1))
    assert isinstance(optimizer, optim.RMSprop)
    settings = optimizer.param_groups[0]
    assert (settings["lr"], settings["alpha"], settings["weight_decay"]) == (1e-3, 0.9, 0)


@pytest.mark.parametrize("name", NAMES)
def test_given_learning_rate_wins_over_the_baselines_own(name: str) -> None:
    optimizer = baseline_optimizer(name, nn.Linear(2, 1), learning_rate=0.25)
    assert optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_learning_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="--learning_rate"):
        baseline_optimizer("DanQ", nn.Linear(1, 1), learning_rate=rate)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_trains_to_the_same_bits_and_another_seed_does_not(name: str) -> None:
    losses, network = train(name, seed=3)
    again, network_again = train(name, seed=3)
    other, _ = train(name, seed=4)
    assert losses == again
    assert losses != other
    for weight, weight_again in zip(network.parameters(), network_again.parameters(), strict=True):
        assert torch.equal(weight, weight_again)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name: str) -> None:
    _, network = train(name, seed=0, steps=1)
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key
