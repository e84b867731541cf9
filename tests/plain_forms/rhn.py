"""The RHN cells as one first writes them: loops over time, nodes, edges and activations."""

import torch
from torch import nn

from generalNAS_tools.search_space.edge_masks import RHN_EDGES, edges_of_node
from generalNAS_tools.search_space.genotypes import RHN_NODES, RHN_PRIMITIVES

FUNCTIONS = {
    "tanh": torch.tanh,
    "identity": lambda h: h,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


def plain_state(fast):
    """The state of the fast cell under the names of the plain one."""
    norm = ("running_mean", "running_var", "num_batches_tracked")
    state = fast.state_dict()
    return {f"bn.{name}" if name in norm else name: value for name, value in state.items()}


class _PlainRHN(nn.Module):
    def __init__(self, hidden_size, dropoutx, dropouth):
        super().__init__()
        self.dropoutx, self.dropouth = dropoutx, dropouth
        self.W0 = nn.Parameter(torch.empty(2 * hidden_size, 2 * hidden_size).uniform_(-0.04, 0.04))
        self.W = nn.ParameterList(
            torch.empty(hidden_size, 2 * hidden_size).uniform_(-0.04, 0.04)
            for _ in range(RHN_NODES)
        )

    def load_from(self, fast):
        """Takes over the weights and statistics of the fast cell."""
        self.load_state_dict(plain_state(fast))
        return self

    def dropout_mask(self, x, rate):
        if not self.training or rate == 0:
            return torch.ones_like(x[0])
        return x.new_empty(x.shape[1:]).bernoulli_(1 - rate) / (1 - rate)

    def initial_state(self, x, hidden, x_mask, h_mask):
        both = torch.cat([x * x_mask, hidden * h_mask], dim=-1)
        c, h = (both @ self.W0).chunk(2, dim=-1)
        return hidden + torch.sigmoid(c) * (torch.tanh(h) - hidden)

    def unroll(self, x, hidden, step):
        x_mask = self.dropout_mask(x, self.dropoutx)
        h_mask = self.dropout_mask(x, self.dropouth)
        h = torch.zeros_like(x[0]) if hidden is None else hidden[0]
        outputs = []
        for x_t in x:
            h = step(self.initial_state(x_t, h, x_mask, h_mask), h_mask)
            outputs.append(h)
        return torch.stack(outputs)


class PlainSearchRHN(_PlainRHN):
    """Supernet cell: every edge's activations mixed one by one."""

    def __init__(self, hidden_size, mask, *, dropoutx=0.0, dropouth=0.0):
        super().__init__(hidden_size, dropoutx, dropouth)
        self.mask = mask
        self.bn = nn.BatchNorm1d(hidden_size, affine=False)

    def edge(self, state, number, weight, mixing):
        """One edge: (B, H) → its weighted sum of activations."""
        c, h = (state[1] @ weight).chunk(2, dim=-1)
        gate = torch.sigmoid(c)
        mixed = 0
        for k, name in enumerate(RHN_PRIMITIVES):
            if name != "none" and self.mask[number, k]:
                value = state[0] + gate * (FUNCTIONS[name](h) - state[0])
                mixed = mixed + mixing[number, k] * value
        return mixed

    def forward(self, x, mixing, hidden=None):
        def step(s0, h_mask):
            s0 = self.bn(s0)
            states = [(s0, s0 * h_mask)]
            for node in range(RHN_NODES):
                total = torch.zeros_like(s0)
                for state, number in zip(states, edges_of_node(RHN_EDGES, node), strict=True):
                    if self.mask[number, 1:].any():
                        total = total + self.edge(state, number, self.W[node], mixing)
                s = self.bn(total)
                states.append((s, s * h_mask))
            return torch.stack([s for s, _ in states[1:]]).mean(0)

        return self.unroll(x, hidden, step)


class PlainFinalRHN(_PlainRHN):
    """Cell of a final network: one predecessor and one activation per node."""

    def __init__(self, hidden_size, genes, *, dropoutx=0.0, dropouth=0.0):
        super().__init__(hidden_size, dropoutx, dropouth)
        self.genes = genes

    def forward(self, x, hidden=None):
        def step(s0, h_mask):
            states = [s0]
            for (name, j), weight in zip(self.genes, self.W, strict=True):
                s = states[j]
                c, h = ((s * h_mask) @ weight).chunk(2, dim=-1)
                states.append(s + torch.sigmoid(c) * (FUNCTIONS[name](h) - s))
            return torch.stack(states[1:]).mean(0)

        return self.unroll(x, hidden, step)
