import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from darts_tools.alphas import Alphas, active_weights, carry_alphas
from darts_tools.stages import drop_primitives
from generalNAS_tools.search_space.edge_masks import Masks, full_masks
from tests.conformance_data import load_json
from tests.darts_tools.stage_cases import alphas_of, compact, expand, masks_of


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def sparse_masks(seed):
    """Random masks with an edge without primitives in every cell."""
    rng = np.random.default_rng(seed)
    masks = Masks(*(rng.random(mask.shape) < 0.5 for mask in full_masks()))
    for mask in masks:
        mask[3] = False
    return masks


def test_start_is_small_normal_and_follows_the_generator():
    alphas = Alphas(full_masks(), generator=seeded(0))
    values = np.concatenate([cell.ravel() for cell in alphas.values()])
    assert values.size == 2 * 14 * 9 + 36 * 5
    assert 0.9e-3 < values.std() < 1.1e-3
    assert abs(values.mean()) < 2e-4
    again = Alphas(full_masks(), generator=seeded(0))
    other = Alphas(full_masks(), generator=seeded(1))
    assert torch.equal(alphas.normal, again.normal)
    assert not torch.equal(alphas.normal, other.normal)


def test_parameters_are_the_three_tables():
    alphas = Alphas(full_masks(), generator=seeded(0))
    shapes = {name: tuple(value.shape) for name, value in alphas.named_parameters()}
    assert shapes == {"normal": (14, 9), "reduce": (14, 9), "rnn": (36, 5)}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mixing_weights_are_a_softmax_over_active_primitives(seed):
    masks = sparse_masks(seed)
    alphas = Alphas(masks, generator=seeded(seed))
    with torch.no_grad():
        for parameter in alphas.parameters():
            parameter.copy_(3 * torch.randn(parameter.shape, generator=seeded(seed)))
    for weight, mask, exact in zip(
        alphas.mixing_weights(), masks, alphas.edge_weights(), strict=True
    ):
        weight = weight.detach().numpy()
        assert (weight[~mask] == 0).all()
        assert (weight[mask] > 0).all()
        np.testing.assert_allclose(weight.sum(axis=1), mask.any(axis=1), rtol=1e-6)
        np.testing.assert_allclose(weight, exact, rtol=1e-5)


def test_active_weights_by_hand():
    mask = np.array([[True, True, False], [False, False, True], [False, False, False]])
    weights = active_weights(np.array([[0.0, np.log(3), 9.0], [5.0, 5.0, -800.0], [1, 2, 3]]), mask)
    np.testing.assert_allclose(weights, [[0.25, 0.75, 0], [0, 0, 1], [0, 0, 0]], rtol=1e-15)


def test_active_weights_survive_large_alphas():
    weights = active_weights(np.array([[1e4, 1e4, -1e4]]), np.ones((1, 3), dtype=bool))
    np.testing.assert_array_equal(weights, [[0.5, 0.5, 0.0]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_active_weights_refuse_a_diverged_search(value):
    alphas = np.array([[0.0, value]])
    with pytest.raises(ValueError, match="alphas are not finite"):
        active_weights(alphas, np.array([[True, True]]))
    np.testing.assert_array_equal(active_weights(alphas, np.array([[True, False]])), [[1, 0]])


def test_gradient_is_that_of_a_softmax_over_the_active_ones():
    masks = sparse_masks(3)
    alphas = Alphas(masks, generator=seeded(3)).double()
    active = torch.from_numpy(masks.normal)
    factors = torch.randn(14, 9, generator=seeded(4), dtype=torch.float64)
    (alphas.mixing_weights().normal * factors).sum().backward()
    assert (alphas.normal.grad[~active] == 0).all()
    weights = torch.from_numpy(alphas.edge_weights().normal)
    expected = weights * (factors - (weights * factors).sum(dim=1, keepdim=True))
    torch.testing.assert_close(alphas.normal.grad, expected, rtol=1e-9, atol=1e-15)


def test_adam_with_weight_decay_leaves_inactive_alphas_at_zero():
    masks = sparse_masks(5)
    alphas = Alphas(masks, generator=seeded(5))
    optimizer = torch.optim.Adam(alphas.parameters(), lr=0.1, weight_decay=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        sum((weight**2).sum() for weight in alphas.mixing_weights()).backward()
        optimizer.step()
    for value, mask in zip(alphas.values(), masks, strict=True):
        assert (value[~mask] == 0).all()
        assert (np.abs(value[mask & (mask.sum(axis=1) > 1)[:, None]]) > 1e-2).any()


def test_state_survives_saving_with_its_masks():
    alphas = Alphas(sparse_masks(6), generator=seeded(6))
    loaded = Alphas(full_masks(), generator=seeded(7))
    loaded.load_state_dict(alphas.state_dict())
    for one, other in zip(alphas.mixing_weights(), loaded.mixing_weights(), strict=True):
        assert torch.equal(one, other)
    np.testing.assert_array_equal(loaded.masks.rnn, alphas.masks.rnn)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_expand_inverts_compact(seed, density):
    rng = np.random.default_rng(seed)
    mask = rng.random((14, 9)) < density
    values = rng.normal(size=mask.shape) * mask
    rows = compact(values, mask)
    assert len(rows) == mask.any(axis=1).sum()
    np.testing.assert_array_equal(expand(rows, mask), values)


def test_expand_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match=r"rows of \[2\] values; the mask has \[3\]"):
        expand([[1.0, 2.0]], np.ones((1, 3), dtype=bool))


def test_carry_refuses_new_primitives():
    with pytest.raises(ValueError, match="subset"):
        carry_alphas(Alphas(sparse_masks(8), generator=seeded(8)), full_masks())


def test_carry_leaves_the_global_random_state_alone():
    alphas = Alphas(full_masks(), generator=seeded(9))
    before = torch.get_rng_state()
    carry_alphas(alphas, sparse_masks(9))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("case", load_json("cwp_darts_stages"))
def test_carried_alphas_match_2021(case):
    assert len(case["stages"]) == 3
    for stage, following in zip(case["stages"], [*case["stages"][1:], None], strict=True):
        masks = masks_of(stage["switches_before"])
        alphas = Alphas(masks, generator=seeded(0))
        with torch.no_grad():
            for parameter, value in zip(alphas.parameters(), alphas_of(stage, masks), strict=True):
                parameter.copy_(torch.from_numpy(value))
        if following is None:
            assert "carried_alphas" not in stage
            continue
        carried = carry_alphas(alphas, masks_of(stage["switches_after_ops"]))
        for value, mask, rows in zip(
            carried.values(), carried.masks, stage["carried_alphas"], strict=True
        ):
            np.testing.assert_array_equal(compact(value, mask), rows)


def test_dropping_takes_the_weights_of_the_module():
    alphas = Alphas(full_masks(), generator=seeded(10))
    masks = drop_primitives(alphas.masks, alphas.edge_weights(), kept_cnn=6, kept_rnn=3)
    kept = carry_alphas(alphas, masks)
    for old, new, mask in zip(alphas.values(), kept.values(), masks, strict=True):
        assert (np.where(mask, old, np.inf).min(1) > np.where(mask, -np.inf, old).max(1)).all()
        np.testing.assert_array_equal(new, old * mask)
