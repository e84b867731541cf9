"""The alpha step against finite differences in float64, on a tiny supernet without dropout."""

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from darts_tools.alphas import Alphas
from darts_tools.architect import Architect
from generalNAS_tools.data.deepsea_data import Batch, PackedSplit
from generalNAS_tools.networks.frame import NetworkOptions
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.runs.options import Clipping
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.training.train_step import weight_step
from tests.toy_bundle import toy_arrays, write_v5

SEQ_SIZE, TARGETS, BATCH = 8, 3, 6
CPU = torch.device("cpu")


class DoubleSplit:
    """A toy validation set in float64."""

    def __init__(self, folder, seed=0):
        arrays = toy_arrays(2 * BATCH + 2, SEQ_SIZE, TARGETS, seed=seed)
        self.split = PackedSplit(write_v5(folder / f"{seed}.mat", "valid", *arrays), "valid")
        self.num_sequences = self.split.num_sequences

    def batch(self, indices, device):
        return Batch(*(tensor.double() for tensor in self.split.batch(indices, device)[:2]))


class Fixture:
    """A supernet with alphas far from uniform, both optimizers, an architect, two batches."""

    def __init__(self, folder, *, layers=2, clip=None, unrolled=False, clipping=None, lr=0.1):
        torch.manual_seed(3)
        options = NetworkOptions(SEQ_SIZE, TARGETS, 2, layers, 0.0, 0.0)
        self.supernet = Supernet(full_masks(), options).double()
        for module in self.supernet.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.alphas = Alphas(full_masks()).double()
        with torch.no_grad():
            for alpha in self.alphas.parameters():
                alpha.normal_(0, 0.5)
        self.sgd = torch.optim.SGD(self.supernet.parameters(), lr, momentum=0.9, weight_decay=1e-3)
        self.options = LoopOptions(BATCH, 2, 0, CPU, beta=0.5, clipping=clipping)
        self.split = DoubleSplit(folder)
        self.train = DoubleSplit(folder, seed=7).batch(torch.arange(BATCH), CPU)
        self.adam = torch.optim.Adam(self.alphas.parameters(), 3e-3)
        self.architect = Architect(
            self.supernet,
            self.alphas,
            self.adam,
            weight_optimizer=self.sgd,
            split=self.split,
            options=self.options,
            clip=clip,
            unrolled=unrolled,
        )
        self.supernet.train()

    def forward(self, x):
        with torch.no_grad():
            mixing = self.alphas.mixing_weights()
        return self.supernet(x, mixing)

    def validation_batch(self):
        return self.architect._validation_batch(0, 0)

    def validation_loss(self):
        """The loss in training mode, statistics left alone; an own formula, not the step's."""
        kept = {name: value.clone() for name, value in self.supernet.state_dict().items()}
        batch = self.validation_batch()
        with torch.no_grad():
            logits = self.forward(batch.x).logits
        self.supernet.load_state_dict(kept)
        return binary_cross_entropy_with_logits(logits, batch.labels).item()

    def momentum_step(self):
        """A first weight step, so that there is momentum."""
        step = {"batch": self.train, "options": self.options}
        weight_step(self.supernet, self.forward, self.sgd, **step)

    def state(self):
        weights = {name: value.clone() for name, value in self.supernet.state_dict().items()}
        buffers = [
            state["momentum_buffer"].clone()
            for state in self.sgd.state.values()
            if state.get("momentum_buffer") is not None
        ]
        return weights, buffers


def shifted(alpha, index, step, loss):
    """Central difference of `loss()` for one alpha."""
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            alpha.view(-1)[index] += sign * step
        values.append(loss())
        with torch.no_grad():
            alpha.view(-1)[index] -= sign * step
    return (values[0] - values[1]) / (2 * step)


CHECKED = {"normal": (3, 45, 121), "reduce": (10, 66, 100), "rnn": (1, 88, 179)}


def gradients_at(fixture, gradient_of):
    """Pairs (computed, by finite differences) at a few alphas of every kind of cell."""
    pairs = []
    for name, indices in CHECKED.items():
        alpha = fixture.alphas.get_parameter(name)
        computed = alpha.grad.view(-1)
        pairs += [(computed[i].item(), gradient_of(alpha, i)) for i in indices]
    return pairs


def test_first_order_gradient(tmp_path):
    fixture = Fixture(tmp_path)
    kept = {name: value.clone() for name, value in fixture.alphas.state_dict().items()}
    weights = [weight.clone() for weight in fixture.supernet.parameters()]
    fixture.architect.step(0, 0, fixture.train)
    assert all(map(torch.equal, weights, fixture.supernet.parameters()))
    assert all(weight.grad is None for weight in fixture.supernet.parameters())
    assert all(weight.requires_grad for weight in fixture.supernet.parameters())
    for name, before in kept.items():
        if not name.endswith("mask"):
            moved = fixture.alphas.state_dict()[name] - before
            # Adam's first step is the learning rate against the gradient's sign.
            gradient = fixture.alphas.get_parameter(name).grad
            clear = gradient.abs() > 1e-5
            assert clear.any()
            expected = -3e-3 * gradient.sign()[clear]
            torch.testing.assert_close(moved[clear], expected, rtol=1e-2, atol=0)
    fixture.alphas.load_state_dict(kept)
    pairs = gradients_at(fixture, lambda alpha, i: shifted(alpha, i, 1e-5, fixture.validation_loss))
    assert max(abs(expected) for _, expected in pairs) > 1e-4
    for computed, expected in pairs:
        assert computed == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_unrolled_gradient(tmp_path, monkeypatch):
    """dL_val(w'(α)) / dα by moving α and taking the weight step anew each time."""
    monkeypatch.setattr("darts_tools.architect.FINITE_DIFFERENCE", 1e-6)
    fixture = Fixture(tmp_path, unrolled=True, clipping=Clipping(1e9, 0.0, 0.0), lr=0.5)
    fixture.momentum_step()
    weights, buffers = fixture.state()
    optimizer_state = fixture.sgd.state_dict()
    alphas = {name: value.clone() for name, value in fixture.alphas.state_dict().items()}

    fixture.architect.step(0, 0, fixture.train)
    after, buffers_after = fixture.state()
    assert all(torch.equal(value, after[name]) for name, value in weights.items())
    assert all(map(torch.equal, buffers, buffers_after))
    fixture.alphas.load_state_dict(alphas)

    def loss_after_a_step():
        momentum = {i: dict(state) for i, state in optimizer_state["state"].items()}
        fixture.sgd.load_state_dict({**optimizer_state, "state": momentum})
        for state, buffer in zip(fixture.sgd.state.values(), buffers, strict=True):
            state["momentum_buffer"] = buffer.clone()
        fixture.momentum_step()
        loss = fixture.validation_loss()
        fixture.supernet.load_state_dict(weights)
        return loss

    pairs = gradients_at(fixture, lambda alpha, i: shifted(alpha, i, 1e-6, loss_after_a_step))
    largest = max(abs(expected) for _, expected in pairs)
    for computed, expected in pairs:
        assert computed == pytest.approx(expected, rel=1e-3, abs=1e-3 * largest)


def test_the_second_order_term_matters(tmp_path):
    gradients = []
    for unrolled in (False, True):
        fixture = Fixture(tmp_path, unrolled=unrolled, lr=0.5)
        fixture.architect.step(0, 0, fixture.train)
        gradients.append(fixture.alphas.get_parameter("normal").grad)
    assert (gradients[0] - gradients[1]).norm() > 0.01 * gradients[0].norm()


def test_the_unrolled_step_without_a_learning_rate_is_first_order(tmp_path):
    gradients = []
    for unrolled in (False, True):
        fixture = Fixture(tmp_path, unrolled=unrolled, lr=0.0)
        fixture.architect.step(0, 0, fixture.train)
        gradients.append([alpha.grad for alpha in fixture.alphas.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(second, first, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("unrolled", [False, True])
def test_a_network_without_reduction_cells(tmp_path, unrolled):
    fixture = Fixture(tmp_path, layers=1, unrolled=unrolled)
    fixture.architect.step(0, 0, fixture.train)
    assert not fixture.alphas.get_parameter("reduce").grad.any()
    assert fixture.alphas.get_parameter("normal").grad.any()


def test_the_gradient_is_clipped(tmp_path):
    norms, directions = [], []
    for clip in (None, 1e-5):
        fixture = Fixture(tmp_path, clip=clip)
        fixture.architect.step(0, 0, fixture.train)
        gradient = torch.cat([alpha.grad.view(-1) for alpha in fixture.alphas.parameters()])
        norms.append(gradient.norm().item())
        directions.append(gradient / gradient.norm())
    assert norms[0] > 1e-5
    assert norms[1] == pytest.approx(1e-5, rel=0.2)
    torch.testing.assert_close(directions[0], directions[1])


def test_validation_batches_go_round_the_set(tmp_path):
    """14 sequences in batches of 6: every epoch has its own order, taken round and round."""
    fixture = Fixture(tmp_path, layers=1)
    seen = []

    def note(indices, device):
        seen.append(indices.tolist())
        return Batch(indices, indices)

    fixture.split.batch = note
    for epoch in (0, 0, 1):
        for step in range(7):
            fixture.architect._validation_batch(epoch, step)
    first, again, other = ([i for part in seen[k : k + 7] for i in part] for k in (0, 7, 14))
    assert sorted(first[:14]) == list(range(14))
    assert first == first[:14] * 3
    assert again == first
    assert other != first
    assert sorted(other[:14]) == list(range(14))
