"""Building blocks of the CNN cells: preprocessing and what each primitive is made of.

Dimension letters: B batch, C channels, L sequence length (bp).
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

POOL_KERNEL = 5
IDENTITY = "skip_connect"
POOLS = ("max_pool_5", "avg_pool_5")


class Part(NamedTuple):
    """One ReLU–convolution–BatchNorm part of a primitive.

    Attributes:
        kernel: positions of the convolution.
        dilation: its dilation.
        separable: a depthwise convolution and a 1×1 one instead of a full one.
    """

    kernel: int
    dilation: int
    separable: bool

    @property
    def padding(self) -> int:
        """Keeps ceil(L / stride) positions."""
        return self.dilation * (self.kernel - 1) // 2


PARTS: dict[str, tuple[Part, ...]] = {
    IDENTITY: (Part(1, 1, False),),
    "sep_conv_15": (Part(15, 1, True),) * 2,
    "sep_conv_9": (Part(9, 1, True),) * 2,
    "dil_conv_15": (Part(15, 2, True),),
    "dil_conv_9": (Part(9, 2, True),),
    "conv_15": (Part(15, 1, False),) * 2,
}
"""Parts of every primitive with weights; a later part has stride 1. `skip_connect` has weights
only where the stride is above 1: a factorized reduce, whose two 1×1 convolutions see the same
input and are therefore one."""


def pool(name: str, x: Tensor, stride: int) -> Tensor:
    """Max or average pooling over 5 positions: (B, C, L) → (B, C, ceil(L / stride))."""
    if name == "max_pool_5":
        return functional.max_pool1d(x, POOL_KERNEL, stride, POOL_KERNEL // 2)
    return functional.avg_pool1d(x, POOL_KERNEL, stride, POOL_KERNEL // 2, count_include_pad=False)


class ReLUConvBN(nn.Module):
    """ReLU, 1×1 convolution, BatchNorm: (B, C_in, L) → (B, C_out, ceil(L / stride))."""

    def __init__(
        self, in_channels: int, out_channels: int, *, affine: bool, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, 1, stride, bias=False)
        self.norm = nn.BatchNorm1d(out_channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x: (B, C_in, L) → (B, C_out, ceil(L / stride))."""
        return self.norm(self.conv(functional.relu(x)))


class FactorizedReduce(ReLUConvBN):
    """The reduction of the 2021 system: its two halves see the same, unshifted positions.

    So it is one 1×1 convolution with a stride; `conv.weight[: C / 2]` is the first half.
    """
