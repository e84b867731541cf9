"""Plain form of the CNN cells: one module per primitive and edge, Python loops.

The reference that tests and the benchmark compare the batched cells with.
"""

import torch
from torch import nn
from torch.nn import functional

from generalNAS_tools.search_space.edge_masks import CNN_EDGES
from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES


class ReLUConvBN(nn.Module):
    def __init__(self, c_in, c_out, affine):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(), nn.Conv1d(c_in, c_out, 1, bias=False), nn.BatchNorm1d(c_out, affine=affine)
        )

    def forward(self, x):
        return self.op(x)


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out, stride, affine):
        super().__init__()
        self.conv1 = nn.Conv1d(c_in, c_out // 2, 1, stride, bias=False)
        self.conv2 = nn.Conv1d(c_in, c_out // 2, 1, stride, bias=False)
        self.norm = nn.BatchNorm1d(c_out, affine=affine)

    def forward(self, x):
        x = functional.relu(x)
        return self.norm(torch.cat([self.conv1(x), self.conv2(x)], dim=1))


def separable(c, k, stride, dilation, affine):
    return [
        nn.ReLU(),
        nn.Conv1d(c, c, k, stride, dilation * (k - 1) // 2, dilation, groups=c, bias=False),
        nn.Conv1d(c, c, 1, bias=False),
        nn.BatchNorm1d(c, affine=affine),
    ]


def full(c, k, stride, affine):
    return [
        nn.ReLU(),
        nn.Conv1d(c, c, k, stride, (k - 1) // 2, bias=False),
        nn.BatchNorm1d(c, affine=affine),
    ]


def operation(primitive, c, stride, *, final=False):
    """The module of one primitive."""
    if primitive in ("max_pool_5", "avg_pool_5"):
        if primitive == "max_pool_5":
            pool = nn.MaxPool1d(5, stride, 2)
        else:
            pool = nn.AvgPool1d(5, stride, 2, count_include_pad=False)
        return pool if final else nn.Sequential(pool, nn.BatchNorm1d(c, affine=False))
    if primitive == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c, stride, final)
    kind, kernel = primitive.rsplit("_", 1)
    k = int(kernel)
    if kind == "sep_conv":
        return nn.Sequential(*separable(c, k, stride, 1, final), *separable(c, k, 1, 1, final))
    if kind == "dil_conv":
        return nn.Sequential(*separable(c, k, stride, 2, final))
    return nn.Sequential(*full(c, k, stride, final), *full(c, k, 1, final))


def preprocess(in_channels, c, previous_stride, affine):
    first = (
        FactorizedReduce(in_channels[0], c, previous_stride, affine)
        if previous_stride > 1
        else ReLUConvBN(in_channels[0], c, affine)
    )
    return first, ReLUConvBN(in_channels[1], c, affine)


class PlainSearchCell(nn.Module):
    def __init__(self, mask, *, in_channels, channels, stride, previous_stride):
        super().__init__()
        self.preprocess0, self.preprocess1 = preprocess(
            in_channels, channels, previous_stride, False
        )
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
        load_preprocess(self, fast)
        for number, edge in enumerate(self.edges):
            for name, module in edge.items():
                source = fast.operation_tensors(number, CNN_PRIMITIVES.index(name))
                load_tensors(module, source)
        return self


class PlainFinalCell(nn.Module):
    def __init__(self, genes, *, in_channels, channels, stride, previous_stride):
        super().__init__()
        self.preprocess0, self.preprocess1 = preprocess(
            in_channels, channels, previous_stride, True
        )
        self.sources = [state for _, state in genes]
        self.operations = nn.ModuleList(
            operation(name, channels, stride if state < 2 else 1, final=True)
            for name, state in genes
        )

    def forward(self, state0, state1, drop_path=0.0):
        states = [self.preprocess0(state0), self.preprocess1(state1)]
        for node in range(4):
            results = []
            for number in (2 * node, 2 * node + 1):
                module = self.operations[number]
                result = module(states[self.sources[number]])
                if self.training and drop_path > 0 and not isinstance(module, nn.Identity):
                    kept = torch.empty(len(result), 1, 1, device=result.device)
                    kept.bernoulli_(1 - drop_path)
                    result = result / (1 - drop_path) * kept
                results.append(result)
            states.append(results[0] + results[1])
        return torch.cat(states[2:], dim=1)

    @torch.no_grad()
    def load_from(self, fast):
        """Takes over the weights and statistics of the batched cell."""
        load_preprocess(self, fast)
        for number, module in enumerate(self.operations):
            load_tensors(module, fast.operation_tensors(number))
        return self


def load_preprocess(plain, fast):
    """Copies the preprocessing; a factorized reduce splits the one convolution in two."""
    for mine, theirs in (
        (plain.preprocess0, fast.preprocess0),
        (plain.preprocess1, fast.preprocess1),
    ):
        norm = [theirs.norm.running_mean, theirs.norm.running_var]
        affine = [] if theirs.norm.weight is None else [theirs.norm.weight, theirs.norm.bias]
        load_tensors(mine, [theirs.conv.weight, *affine, *norm])


@torch.no_grad()
def load_tensors(module, source):
    """Copies weights and statistics, given in forward order, into a plain module."""
    source = list(source)
    for target in plain_tensors(module):
        if isinstance(target, tuple):
            weight = source.pop(0)
            for part, rows in zip(target, weight.chunk(2), strict=True):
                part.copy_(rows)
        else:
            target.copy_(source.pop(0).reshape(target.shape))
    if source:
        raise ValueError(f"{len(source)} tensors left over for {module}")


def plain_tensors(module):
    """Weights and statistics in forward order; a pair where the batched form has one weight."""
    if isinstance(module, FactorizedReduce):
        return [(module.conv1.weight, module.conv2.weight), *plain_tensors(module.norm)]
    if isinstance(module, nn.Conv1d):
        return [module.weight]
    if isinstance(module, nn.BatchNorm1d):
        affine = [] if module.weight is None else [module.weight, module.bias]
        return [*affine, module.running_mean, module.running_var]
    return [tensor for child in module.children() for tensor in plain_tensors(child)]
