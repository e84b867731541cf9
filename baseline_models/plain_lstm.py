"""DanQ's bidirectional LSTM as ordinary modules, to explain and to export.

B batch, T time steps, C inputs, H hidden size.
"""

import torch
from torch import Tensor, nn

from baseline_models.danq import CHANNELS, LSTM_HIDDEN, RecurrentHead


class PlainLSTM(nn.LSTM):
    """`nn.LSTM` with the same weights, whose nonlinearities are modules: Tanh and GLU."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, LSTM_HIDDEN, batch_first=True, bidirectional=True)
        self.tanh, self.glu = nn.Tanh(), nn.GLU()

    def forward(self, x: Tensor, hx: None = None) -> tuple[Tensor, None]:  # type: ignore[override]
        """Maps x (B, T, C) to the states of both directions, (B, T, 2H)."""
        forwards = self._direction(x.unbind(1), "_l0")
        backwards = self._direction(x.unbind(1)[::-1], "_l0_reverse")[::-1]
        return torch.cat([torch.stack(forwards, 1), torch.stack(backwards, 1)], 2), None

    def _direction(self, inputs: tuple[Tensor, ...], suffix: str) -> list[Tensor]:
        """The states (B, H) after each input (B, C)."""
        weights = [f"{kind}_{side}{suffix}" for kind in ("weight", "bias") for side in ("ih", "hh")]
        w_input, w_hidden, *biases = map(self.get_parameter, weights)
        state = cell = inputs[0].new_zeros(inputs[0].shape[0], self.hidden_size)
        states = []
        for x in inputs:
            gates = x @ w_input.T + state @ w_hidden.T + sum(biases)
            i, f, g, o = gates.chunk(4, 1)
            cell = self._gated(cell, f) + self._gated(self.tanh(g), i)
            state = self._gated(self.tanh(cell), o)
            states.append(state)
        return states

    def _gated(self, value: Tensor, gate: Tensor) -> Tensor:
        """The value times the sigmoid of its gate."""
        return self.glu(torch.cat([value, gate], 1))


def unroll_lstm(network: nn.Module) -> nn.Module:
    """Puts the plain form in the place of a baseline's LSTM, if it has one; returns the network."""
    for head in network.modules():
        if isinstance(head, RecurrentHead):
            plain = PlainLSTM()
            plain.load_state_dict(head.lstm.state_dict())
            head.lstm = plain
    return network
