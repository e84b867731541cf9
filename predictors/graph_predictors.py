"""Predictors of an architecture's score from its two graphs: GCN, MLP, LSTM.

A predictor is one encoder per graph, whose outputs are concatenated to an embedding, and a
linear layer with a sigmoid. Dimension letters: B architectures, V vertices with the global one,
K kinds of vertices, H the width of an encoder.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDTH = 64
GCN_LAYERS = 4


class GraphBatch(NamedTuple):
    """Graphs of several architectures, with self-loops and the global vertex last.

    Attributes:
        cnn_adjacency: (B, V, V); row i marks what vertex i receives from.
        cnn_operations: (B, V, K), one-hot.
        rhn_adjacency: as `cnn_adjacency`, of the RHN graph.
        rhn_operations: as `cnn_operations`, of the RHN graph.
    """

    cnn_adjacency: Tensor
    cnn_operations: Tensor
    rhn_adjacency: Tensor
    rhn_operations: Tensor

    def rows(self, index: Tensor) -> "GraphBatch":
        """The architectures at `index`, (n,)."""
        return GraphBatch(*(matrix[index] for matrix in self))


class GCNEncoder(nn.Module):
    """Four graph convolutions; the output is the embedding of the global vertex.

    One layer is ReLU(BatchNorm(A X W)) (Kipf and Welling, 2017, without the degree norm, whose
    place BatchNorm takes).
    """

    def __init__(self, vertices: int, kinds: int) -> None:
        super().__init__()
        widths = [kinds] + [WIDTH] * GCN_LAYERS
        self.linears = nn.ModuleList(
            nn.Linear(inputs, outputs, bias=False) for inputs, outputs in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in range(GCN_LAYERS))

    def forward(self, adjacency: Tensor, operations: Tensor) -> Tensor:
        """(B, V, V), (B, V, K) → (B, H)."""
        x = operations
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = adjacency @ linear(x)
            x = norm(x.flatten(0, 1)).view_as(x).relu()
        return x[:, -1]


class MLPEncoder(nn.Module):
    """Two ReLU layers over both matrices, flattened."""

    def __init__(self, vertices: int, kinds: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(vertices * (vertices + kinds), WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
        )

    def forward(self, adjacency: Tensor, operations: Tensor) -> Tensor:
        """(B, V, V), (B, V, K) → (B, H)."""
        return self.layers(torch.cat([adjacency, operations], dim=2).flatten(1))


class LSTMEncoder(nn.Module):
    """An LSTM that reads the vertices in order; the output is its last hidden state."""

    def __init__(self, vertices: int, kinds: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(vertices + kinds, WIDTH, batch_first=True)

    def forward(self, adjacency: Tensor, operations: Tensor) -> Tensor:
        """(B, V, V), (B, V, K) → (B, H)."""
        states, _ = self.lstm(torch.cat([adjacency, operations], dim=2))
        return states[:, -1]


ENCODERS: dict[str, type[nn.Module]] = {"gcn": GCNEncoder, "mlp": MLPEncoder, "lstm": LSTMEncoder}
"""What `--predictor` picks."""


class Predictor(nn.Module):
    """Predicts scores from 0 to 1.

    Args:
        name: key in `ENCODERS`.
        example: any batch of graphs of the sizes to come.

    Raises:
        ValueError: there is no encoder of that name.
    """

    def __init__(self, name: str, example: GraphBatch) -> None:
        super().__init__()
        if name not in ENCODERS:
            raise ValueError(f"--predictor {name}: expected one of {', '.join(ENCODERS)}")
        self.cnn_encoder = ENCODERS[name](*example.cnn_operations.shape[1:])
        self.rhn_encoder = ENCODERS[name](*example.rhn_operations.shape[1:])
        self.linear = nn.Linear(2 * WIDTH, 1)

    def embed(self, graphs: GraphBatch) -> Tensor:
        """Embeddings of the architectures, (B, 2H)."""
        cnn = self.cnn_encoder(graphs.cnn_adjacency, graphs.cnn_operations)
        rhn = self.rhn_encoder(graphs.rhn_adjacency, graphs.rhn_operations)
        return torch.cat([cnn, rhn], dim=1)

    def forward(self, graphs: GraphBatch) -> Tensor:
        """Predicted scores, (B,)."""
        return self.linear(self.embed(graphs)).squeeze(1).sigmoid()
