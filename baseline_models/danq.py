"""DanQ: one convolution, a bidirectional LSTM and two linear layers.

Quang & Xie, "DanQ: a hybrid convolutional and recurrent deep neural network for quantifying the
function of DNA sequences", Nucleic Acids Research 44:e107 (2016), doi:10.1093/nar/gkw226.

B batch, L sequence length (bp), C channels, T time steps of the LSTM, H its hidden size.
"""

from collections import OrderedDict

from torch import Tensor, nn

CHANNELS = 320
KERNEL = 26
POOL = 13
LSTM_HIDDEN = 320
HIDDEN = 925
SHORTEST = POOL + KERNEL - 1
"""The shortest sequence that fills a pool window, in bp."""


class RecurrentHead(nn.Module):
    """What follows DanQ's convolution: pool, bidirectional LSTM, two linear layers.

    Args:
        length: number of positions that come in, at least 13.
        num_targets: number of outputs.
    """

    def __init__(self, length: int, num_targets: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.MaxPool1d(POOL), nn.Dropout(0.2))
        self.lstm = nn.LSTM(CHANNELS, LSTM_HIDDEN, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(length // POOL * 2 * LSTM_HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, num_targets),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps features (B, C, length) to logits (B, num_targets)."""
        states, _ = self.lstm(self.pool(x).transpose(1, 2))  # (B, T, 2H)
        return self.classifier(states)


class DanQ(nn.Sequential):
    """DanQ (the 320-kernel network): one-hot DNA (B, 4, L) → logits (B, num_targets).

    The layer sizes are the published ones.

    Its LSTM has one more bias vector of 4H per direction than the published Keras network:
    torch keeps an input bias and a recurrent bias, whose sum is all that acts.

    Args:
        seq_size: sequence length L in bp, at least 38.
        num_targets: number of outputs, 919 for DeepSEA's data.
    """

    def __init__(self, seq_size: int, num_targets: int) -> None:
        features = nn.Sequential(nn.Conv1d(4, CHANNELS, KERNEL), nn.ReLU())
        head = RecurrentHead(seq_size - KERNEL + 1, num_targets)
        super().__init__(OrderedDict(features=features, head=head))
