"""The final network as ordinary modules: the form to read, to explain and to build elsewhere.

It has the weights of `final_network`, whose batched cells and hand-written RHN are faster, and
gives the same answers. Every nonlinearity is a module (ReLU, Tanh, Sigmoid, GLU, MaxPool1d), so
that whatever hangs rules on modules, such as DeepLIFT, finds it. Drop path is left to training.

B batch, C channels, L sequence length (bp), T RHN time steps, H RHN width.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from generalNAS_tools.networks.cnn.cells import CellShape
from generalNAS_tools.networks.cnn.operations import IDENTITY, PARTS, POOL_KERNEL, POOLS, Part
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import STEM_KERNEL, NetworkOutput
from generalNAS_tools.networks.rhn.cells import RHN
from generalNAS_tools.search_space.genotypes import CNN_INPUTS, EDGES_PER_CNN_NODE, Gene


def plain_operation(name: str, channels: int, *, stride: int) -> nn.Module:
    """A primitive as a module: (B, C, L) → (B, C, ceil(L / stride))."""
    if name == "max_pool_5":
        return nn.MaxPool1d(POOL_KERNEL, stride, POOL_KERNEL // 2)
    if name in POOLS:
        return nn.AvgPool1d(POOL_KERNEL, stride, POOL_KERNEL // 2, count_include_pad=False)
    if name == IDENTITY and stride == 1:
        return nn.Identity()
    first, *rest = PARTS[name]
    parts = [_part(first, channels, stride), *(_part(part, channels, 1) for part in rest)]
    return nn.Sequential(*parts)


def _part(part: Part, channels: int, stride: int) -> nn.Sequential:
    """ReLU, convolution (of a separable part depthwise, then 1×1), BatchNorm."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(relu=nn.ReLU())
    if part.kernel > 1:
        padding = part.dilation * (part.kernel // 2)
        groups = channels if part.separable else 1
        layers["conv"] = nn.Conv1d(
            *(channels, channels, part.kernel, stride, padding, part.dilation, groups), bias=False
        )
        stride = 1
    if part.separable:
        layers["pointwise"] = nn.Conv1d(channels, channels, 1, stride, bias=False)
    return nn.Sequential(layers | {"norm": nn.BatchNorm1d(channels)})


def plain_preprocess(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """ReLU, 1×1 convolution, BatchNorm: (B, C_in, L) → (B, C, ceil(L / stride))."""
    conv = nn.Conv1d(in_channels, channels, 1, stride, bias=False)
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=conv, norm=nn.BatchNorm1d(channels)))


class PlainCell(nn.Module):
    """The plain form of `FinalCell`: each node is the sum of two operations on earlier states."""

    def __init__(self, genes: Sequence[Gene], shape: CellShape) -> None:
        super().__init__()
        self.sources = [state for _, state in genes]
        (before, previous), channels = shape.in_channels, shape.channels
        self.preprocess0 = plain_preprocess(before, channels, shape.previous_stride)
        self.preprocess1 = plain_preprocess(previous, channels, 1)
        self.operations = nn.ModuleList(
            plain_operation(name, channels, stride=shape.stride_from(state))
            for name, state in genes
        )

    def forward(self, state0: Tensor, state1: Tensor) -> Tensor:
        """Maps the outputs of the two previous cells to (B, 4C, ceil(L / stride))."""
        states = [self.preprocess0(state0), self.preprocess1(state1)]
        for first in range(0, len(self.sources), EDGES_PER_CNN_NODE):
            edges = range(first, first + EDGES_PER_CNN_NODE)
            a, b = (self.operations[edge](states[self.sources[edge]]) for edge in edges)
            states.append(a + b)
        return torch.cat(states[CNN_INPUTS:], dim=1)


class PlainRHN(RHN):
    """The plain form of `FinalRHN`: at every time step a chain of highway steps.

    A highway step from state s has [c, h] = s W and gives s + (f(h) − s) ∘ σ(c).
    """

    def __init__(self, hidden_size: int, genes: Sequence[Gene], **dropout: float) -> None:
        super().__init__(hidden_size, **dropout)
        self.genes = tuple(genes)
        self.gate = nn.GLU()  # [a, c] → a ∘ σ(c)
        self.activations = nn.ModuleDict(
            dict(tanh=nn.Tanh(), identity=nn.Identity(), sigmoid=nn.Sigmoid(), relu=nn.ReLU())
        )

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Maps x (T, B, H), from a state hidden (1, B, H) or zeros, to (T, B, H)."""
        masks = self.dropoutx(x), self.dropouth(x)
        x_mask, h_mask = (1.0 if mask is None else mask for mask in masks)
        output = torch.zeros_like(x[0]) if hidden is None else hidden[0]
        outputs = []
        for x_t in x:
            fed = torch.cat([x_t * x_mask, output * h_mask], 1)
            states = [self.highway(output, fed @ self.W0, "tanh")]
            for (name, source), weight in zip(self.genes, self.W, strict=True):
                state = states[source]
                states.append(self.highway(state, (state * h_mask) @ weight, name))
            output = torch.stack(states[1:]).mean(0)
            outputs.append(output)
        return torch.stack(outputs)

    def highway(self, state: Tensor, product: Tensor, name: str) -> Tensor:
        """The highway step from a state (B, H) with its product [c, h], (B, 2H)."""
        c, h = product.chunk(2, 1)
        return state + self.gate(torch.cat([self.activations[name](h) - state, c], 1))


class PlainStem(nn.Sequential):
    """The plain form of `Stem`."""

    def __init__(self, channels: int) -> None:
        conv = nn.Conv1d(4, channels, STEM_KERNEL, padding=STEM_KERNEL // 2, bias=False)
        super().__init__(conv, nn.BatchNorm1d(channels))


class PlainFinalNetwork(FinalNetwork):
    """The plain form of `FinalNetwork`; `take_weights` gives it the weights of one."""

    cell, rhn, stem, dense = PlainCell, PlainRHN, PlainStem, nn.Linear

    def forward(self, x: Tensor) -> NetworkOutput:
        """Logits and RHN outputs of one-hot DNA `x`, (B, 4, L)."""
        return self.network(x, [{}] * len(self.network.cells), {})


def take_weights(plain: nn.Module, fast: nn.Module) -> nn.Module:
    """Copies weights and statistics into the plain form of a module and returns that."""
    weight_of = re.compile(r"(operations\.\d+\.\d+\.(?:conv|pointwise))$")
    state = fast.state_dict()
    plain.load_state_dict({weight_of.sub(r"\1.weight", name): state[name] for name in state})
    return plain
