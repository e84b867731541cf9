"""The supernet's RHN as one first writes it: loops over time, nodes, edges and activations."""

import torch
from torch import nn

from generalNAS_tools.networks.rhn.cells import RHN
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


class PlainSearchRHN(RHN):
    """Supernet cell: every edge's activations mixed one by one."""

    def __init__(self, hidden_size, mask, **dropout):
        super().__init__(hidden_size, **dropout)
        self.mask = mask
        self.bn = nn.BatchNorm1d(hidden_size, affine=False)

    def load_from(self, fast):
        """Takes over the weights and statistics of the fast cell."""
        self.load_state_dict(plain_state(fast))
        return self

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
        masks = self.dropoutx(x), self.dropouth(x)
        x_mask, h_mask = (1 if mask is None else mask for mask in masks)
        output = torch.zeros_like(x[0]) if hidden is None else hidden[0]
        outputs = []
        for x_t in x:
            c, h = (torch.cat([x_t * x_mask, output * h_mask], dim=-1) @ self.W0).chunk(2, dim=-1)
            s0 = self.bn(output + torch.sigmoid(c) * (torch.tanh(h) - output))
            states = [(s0, s0 * h_mask)]
            for node in range(RHN_NODES):
                total = torch.zeros_like(s0)
                for state, number in zip(states, edges_of_node(RHN_EDGES, node), strict=True):
                    if self.mask[number, 1:].any():
                        total = total + self.edge(state, number, self.W[node], mixing)
                s = self.bn(total)
                states.append((s, s * h_mask))
            output = torch.stack([s for s, _ in states[1:]]).mean(0)
            outputs.append(output)
        return torch.stack(outputs)
