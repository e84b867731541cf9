"""NCNet's residual blocks: lengths, shortcuts, and what a silent branch leaves."""

import pytest
import torch
from torch import nn

from baseline_models.ncnet import ResidualBlock, basic_block, bottleneck_block


def silence(block: ResidualBlock) -> None:
    """Makes the branch give zeros: the scale of its last BatchNorm is set to 0."""
    norm = [m for m in block.branch.modules() if isinstance(m, nn.BatchNorm1d)][-1]
    nn.init.zeros_(norm.weight)


@pytest.mark.parametrize("length", [13, 14, 75])
def test_blocks_keep_the_length(length: int) -> None:
    assert basic_block()(torch.randn(2, 320, length)).shape == (2, 320, length)
    assert bottleneck_block(160, 320)(torch.randn(2, 160, length)).shape == (2, 320, length)


def test_silent_branch_leaves_the_relu_of_the_input() -> None:
    for block, channels in ((basic_block(), 320), (bottleneck_block(160, 160), 160)):
        silence(block)
        x = torch.randn(2, channels, 20)
        assert torch.equal(block(x), x.relu())


def test_shortcut_is_projected_only_where_the_width_changes() -> None:
    assert isinstance(bottleneck_block(320, 320).shortcut, nn.Identity)
    block = bottleneck_block(160, 320)
    silence(block)
    x = torch.randn(2, 160, 20)
    weight = block.shortcut[0].weight.squeeze(2)
    projected = torch.einsum("oc,bcl->bol", weight, x)
    scaled = (projected - projected.mean((0, 2), keepdim=True)) / torch.sqrt(
        projected.var((0, 2), correction=0, keepdim=True) + 1e-5
    )
    torch.testing.assert_close(block(x), scaled.relu(), rtol=1e-4, atol=1e-5)


def test_bottleneck_kernels_and_widths() -> None:
    convs = [m for m in bottleneck_block(160, 320).branch.modules() if isinstance(m, nn.Conv1d)]
    assert [c.kernel_size[0] for c in convs] == [1, 15, 1]
    assert [c.out_channels for c in convs] == [80, 80, 320]
    assert all(c.bias is None for c in convs)


def test_basic_block_looks_25_positions_to_each_side() -> None:
    """Two kernels of 26 with paddings 12 and 13 read 25 positions before and 25 after."""
    block = basic_block().eval()
    x = torch.randn(1, 320, 120, requires_grad=True)
    block(x)[0, :, 60].sum().backward()
    read = x.grad[0].abs().sum(0).nonzero().flatten()
    assert (read.min().item(), read.max().item()) == (35, 85)
