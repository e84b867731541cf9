"""All operations on the edges that leave one state of a supernet's CNN cell, as few kernels.

They see the same input, so the ReLU runs once, every pool once (its BatchNorm has no parameters),
and the convolutions of one primitive on all outgoing edges are one grouped convolution.
Dimension letters: B batch, C channels, L sequence length (bp), n edges in a batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from generalNAS_tools.edge_masks import CNN_EDGES, BoolArray
from generalNAS_tools.genotypes import CNN_PRIMITIVES
from generalNAS_tools.operations import IDENTITY, PARTS, POOLS, Part, pool


class BatchedPart(nn.Module):
    """One part of a primitive on n edges: convolution and BatchNorm over n·C channels."""

    def __init__(
        self, part: Part, edges: int, channels: int, *, stride: int, affine: bool = False
    ) -> None:
        super().__init__()
        self.part, self.channels, self.stride = part, channels, stride
        width = edges * channels
        inputs = 1 if part.separable else channels
        self.conv = nn.Parameter(_uniform(width, inputs, part.kernel))
        if part.separable:
            self.pointwise = nn.Parameter(_uniform(width, channels, 1))
        self.norm = nn.BatchNorm1d(width, affine=affine)

    def forward(self, x: Tensor, *, edges: list[int], shared: bool) -> Tensor:
        """Maps rectified x: (B, C, L) if `shared`, else (B, n·C, L), → (B, n·C, L')."""
        count = len(edges)
        if self.part.separable:
            x = x.repeat(1, count, 1) if shared else x
            groups = count * self.channels
        else:
            groups = 1 if shared else count
        weight = self._take(self.conv, edges)
        x = functional.conv1d(
            x, weight, None, self.stride, self.part.padding, self.part.dilation, groups
        )
        if self.part.separable:
            x = functional.conv1d(x, self._take(self.pointwise, edges), groups=count)
        return self._normalise(x, edges)

    def tensors(self, position: int) -> list[Tensor]:
        """Views of one edge's weights and statistics."""
        rows = slice(position * self.channels, (position + 1) * self.channels)
        tensors = [self.conv]
        if self.part.separable:
            tensors.append(self.pointwise)
        if self.norm.affine:
            tensors += [self.norm.weight, self.norm.bias]
        tensors += [self.norm.running_mean, self.norm.running_var]
        return [tensor.detach()[rows] for tensor in tensors]

    def _normalise(self, x: Tensor, edges: list[int]) -> Tensor:
        norm = self.norm
        mean, var = self._take(norm.running_mean, edges), self._take(norm.running_var, edges)
        x = functional.batch_norm(
            x, mean, var, norm.weight, norm.bias, self.training, norm.momentum, norm.eps
        )
        if self.training and mean is not norm.running_mean:
            for i, position in enumerate(edges):
                rows = slice(i * self.channels, (i + 1) * self.channels)
                target = self.tensors(position)
                target[-2].copy_(mean[rows])
                target[-1].copy_(var[rows])
        return x

    def _take(self, tensor: Tensor, edges: list[int]) -> Tensor:
        if len(edges) * self.channels == len(tensor):
            return tensor
        parts = tensor.split(self.channels)
        return torch.cat([parts[position] for position in edges])


class StateFanOut(nn.Module):
    """Every operation on the edges that leave one state.

    Attributes:
        batches: per primitive with weights, its parts over the edges that have it.
        norms: per pool its BatchNorm, which all edges share.
    """

    def __init__(self, state: int, mask: BoolArray, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.edges = [number for number, edge in enumerate(CNN_EDGES) if edge.state == state]
        self.batches = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        self.members: dict[str, list[int]] = {}
        for primitive, name in enumerate(CNN_PRIMITIVES):
            members = [edge for edge in self.edges if mask[edge, primitive]]
            if not members or name == "none":
                continue
            self.members[name] = members
            if name in POOLS:
                self.norms[name] = nn.BatchNorm1d(channels, affine=False)
            elif not self._is_identity(name):
                self.batches[name] = nn.ModuleList(
                    BatchedPart(part, len(members), channels, stride=stride if number == 0 else 1)
                    for number, part in enumerate(PARTS[name])
                )

    def forward(
        self,
        x: Tensor,
        mixing: Tensor,
        nodes: list[Tensor | None],
        *,
        active: BoolArray,
        skip_dropout: float,
    ) -> None:
        """Adds the mixed results for x: (B, C, L) to the `nodes` they go to."""
        rectified = functional.relu(x)
        for name, members in self.members.items():
            primitive = CNN_PRIMITIVES.index(name)
            chosen = [i for i, edge in enumerate(members) if active[edge, primitive]]
            if not chosen:
                continue
            if name in POOLS:
                results = [self.norms[name](pool(name, x, self.stride))] * len(chosen)
            elif self._is_identity(name):
                results = [functional.dropout(x, skip_dropout, self.training) for _ in chosen]
            else:
                y = rectified
                for number, part in enumerate(self._parts(name)):
                    y = functional.relu(y) if number else y
                    y = part(y, edges=chosen, shared=number == 0)
                results = list(y.split(self.channels, dim=1))
            for i, result in zip(chosen, results, strict=True):
                node = CNN_EDGES[members[i]].node
                term = mixing[members[i], primitive] * result
                nodes[node] = term if nodes[node] is None else nodes[node] + term

    def operation_tensors(self, edge: int, primitive: int) -> list[Tensor]:
        """Views of one operation's weights and statistics, in forward order."""
        name = CNN_PRIMITIVES[primitive]
        if edge not in self.members.get(name, ()):
            return []
        if name in POOLS:
            return [self.norms[name].running_mean, self.norms[name].running_var]
        position = self.members[name].index(edge)
        return [tensor for part in self._parts(name) for tensor in part.tensors(position)]

    def _parts(self, name: str) -> list[BatchedPart]:
        return list(self.batches[name]) if name in self.batches else []

    def _is_identity(self, name: str) -> bool:
        return name == IDENTITY and self.stride == 1


def _uniform(outputs: int, inputs: int, kernel: int) -> Tensor:
    """Convolution weights in ±1/√fan-in, torch's default."""
    bound = (inputs * kernel) ** -0.5
    return torch.empty(outputs, inputs, kernel).uniform_(-bound, bound)
