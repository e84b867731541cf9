"""NCNet: DanQ with residual blocks between the convolution and the pool.

Zhang, Hung, Liu, Hu & Lin, "NCNet: Deep Learning Network Models for Predicting Function of
Non-coding DNA", Frontiers in Genetics 10:432 (2019), doi:10.3389/fgene.2019.00432. The blocks
are those of He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (figure 5):
a BatchNorm after every convolution, ReLU after the sum. A convolution that a BatchNorm follows
has no bias, since the BatchNorm would take it away again.

B batch, L sequence length (bp), C channels.
"""

from collections import OrderedDict

from torch import Tensor, nn

from baseline_models.danq import CHANNELS, KERNEL, RecurrentHead

BLOCKS_RR = 2
BLOCKS_BRR = 4
NARROW = 160
BOTTLENECK_KERNEL = 15


def _conv_norm(in_channels: int, out_channels: int, kernel: int, *, padding: int) -> nn.Sequential:
    """A convolution without bias and its BatchNorm."""
    conv = nn.Conv1d(in_channels, out_channels, kernel, padding=padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(out_channels))


class ResidualBlock(nn.Module):
    """relu(branch(x) + shortcut(x)), for a branch that keeps the length."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C_in, L) to (B, C_out, L)."""
        return self.relu(self.branch(x) + self.shortcut(x))


def basic_block() -> ResidualBlock:
    """Two 320-channel convolutions of kernel 26.

    An even kernel can't be padded evenly: padding 12 takes one position, padding 13 gives it back.
    """
    branch = nn.Sequential(
        _conv_norm(CHANNELS, CHANNELS, KERNEL, padding=12),
        nn.ReLU(),
        _conv_norm(CHANNELS, CHANNELS, KERNEL, padding=13),
    )
    return ResidualBlock(branch, nn.Identity())


def bottleneck_block(in_channels: int, out_channels: int) -> ResidualBlock:
    """Kernels 1, 15, 1 through a quarter of the output's channels.

    The shortcut is a 1x1 convolution with BatchNorm where the width changes, else the identity.
    """
    narrow = out_channels // 4
    branch = nn.Sequential(
        _conv_norm(in_channels, narrow, 1, padding=0),
        nn.ReLU(),
        _conv_norm(narrow, narrow, BOTTLENECK_KERNEL, padding=BOTTLENECK_KERNEL // 2),
        nn.ReLU(),
        _conv_norm(narrow, out_channels, 1, padding=0),
    )
    if in_channels == out_channels:
        return ResidualBlock(branch, nn.Identity())
    return ResidualBlock(branch, _conv_norm(in_channels, out_channels, 1, padding=0))


class NCNetRR(nn.Sequential):
    """NCNet_RR: DanQ with two residual blocks before the pool.

    It maps one-hot DNA (B, 4, L) to logits (B, num_targets).

    Args:
        seq_size: sequence length L in bp, at least 38.
        num_targets: number of outputs, 919 for DeepSEA's data.
    """

    def __init__(self, seq_size: int, num_targets: int) -> None:
        features = nn.Sequential(
            _conv_norm(4, CHANNELS, KERNEL, padding=0),
            nn.ReLU(),
            *(basic_block() for _ in range(BLOCKS_RR)),
        )
        head = RecurrentHead(seq_size - KERNEL + 1, num_targets)
        super().__init__(OrderedDict(features=features, head=head))


class NCNetBRR(nn.Sequential):
    """NCNet_bRR: eight bottleneck blocks before DanQ's pool, 160 then 320 channels wide.

    It maps one-hot DNA (B, 4, L) to logits (B, num_targets).

    Args:
        seq_size: sequence length L in bp, at least 38.
        num_targets: number of outputs, 919 for DeepSEA's data.
    """

    def __init__(self, seq_size: int, num_targets: int) -> None:
        features = nn.Sequential(
            _conv_norm(4, NARROW, KERNEL, padding=0),
            nn.ReLU(),
            *(bottleneck_block(NARROW, NARROW) for _ in range(BLOCKS_BRR)),
            bottleneck_block(NARROW, CHANNELS),
            *(bottleneck_block(CHANNELS, CHANNELS) for _ in range(BLOCKS_BRR - 1)),
        )
        head = RecurrentHead(seq_size - KERNEL + 1, num_targets)
        super().__init__(OrderedDict(features=features, head=head))
