"""Plain form of the supernet's CNN cells: one module per primitive and edge, Python loops.

The reference that tests and the benchmark compare the batched cells with.
"""

import torch
from torch import nn
from torch.nn import functional

from generalNAS_tools.networks.cnn.operations import POOLS
from generalNAS_tools.networks.plain_network import plain_operation, plain_preprocess
from generalNAS_tools.search_space.edge_masks import CNN_EDGES
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES


def without_affine(module):
    """The module with BatchNorms that only normalise, as in a search."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.weight = norm.bias = None
    return module


def operation(primitive, c, stride):
    """The module of one primitive; a pool has a BatchNorm in a search."""
    module = plain_operation(primitive, c, stride=stride)
    if primitive in POOLS:
        module = nn.Sequential(module, nn.BatchNorm1d(c))
    return without_affine(module)


class PlainSearchCell(nn.Module):
    def __init__(self, mask, shape):
        super().__init__()
        (before, previous), channels, stride, previous_stride = shape
        self.preprocess0 = without_affine(plain_preprocess(before, channels, previous_stride))
        self.preprocess1 = without_affine(plain_preprocess(previous, channels, 1))
        self.skip_dropout = 0.0
        self.edges = nn.ModuleList()
        for edge, row in zip(CNN_EDGES, mask, strict=True):
            step = stride if edge.state < 2 else 1
            self.edges.append(
                nn.ModuleDict(
                    {
                        name: operation(name, channels, step)
                        for name, chosen in zip(CNN_PRIMITIVES, row, strict=True)
                        if chosen and name != "none"
                    }
                )
            )
        self.stride = stride

    def forward(self, state0, state1, mixing):
        states = [self.preprocess0(state0), self.preprocess1(state1)]
        length = -(-states[0].shape[2] // self.stride)
        for node in range(4):
            total = torch.zeros_like(states[0][:, :, :length])
            for number, edge in enumerate(CNN_EDGES):
                if edge.node != node:
                    continue
                for name, module in self.edges[number].items():
                    result = module(states[edge.state])
                    if isinstance(module, nn.Identity):
                        result = functional.dropout(result, self.skip_dropout, self.training)
                    total = total + mixing[number, CNN_PRIMITIVES.index(name)] * result
            states.append(total)
        return torch.cat(states[2:], dim=1)

    @torch.no_grad()
    def load_from(self, fast):
        """Takes over the weights and statistics of the batched cell."""
        for name in ("preprocess0", "preprocess1"):
            self.get_submodule(name).load_state_dict(fast.get_submodule(name).state_dict())
        for number, edge in enumerate(self.edges):
            for name, module in edge.items():
                source = fast.operation_tensors(number, CNN_PRIMITIVES.index(name))
                load_tensors(module, source)
        return self


@torch.no_grad()
def load_tensors(module, source):
    """Copies weights and statistics, given in forward order, into a plain module."""
    for target, value in zip(plain_tensors(module), source, strict=True):
        target.copy_(value.reshape(target.shape))


def plain_tensors(module):
    """Weights and statistics in forward order."""
    if isinstance(module, nn.Conv1d):
        return [module.weight]
    if isinstance(module, nn.BatchNorm1d):
        return [module.running_mean, module.running_var]
    return [tensor for child in module.children() for tensor in plain_tensors(child)]
