"""A trained network that answers for coded sequences in batches; flags that all tools share.

Dimension letters: N sequences, L sequence length (bp), T targets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from data_generators.genome import reverse_complement
from data_generators.planted_motifs import BASES, Codes
from generalNAS_tools.inference.tables import check_table
from generalNAS_tools.load_model import TrainedModel, load_model
from generalNAS_tools.runs.flags import flag, switch, whole

LETTERS = "ACGT"
"""The order of a loaded model's channels."""
_ONE_HOT = torch.tensor([[float(base == letter) for letter in LETTERS] for base in (*BASES, "N")])
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """Which model answers, and where the answers go."""

    title: ClassVar = None
    model: str = flag(str, ..., "the trained model (.pth)")
    out: str = flag(str, ..., "file to write; its suffix says how: .tsv, .npz, .h5 or .hdf5")
    targets: tuple[str, ...] = flag(str, (), "targets by name or number from 0 (default: all)")
    average_strands: bool = switch(False, "average with the reverse complement")
    batch_size: int = flag(whole(1), 256, "sequences at a time")
    device: str = flag(str, "auto", "cpu, cuda, cuda:1 ...; auto takes a GPU if there is one")


@dataclass(frozen=True)
class Predictor:
    """A trained network and how it is asked.

    Attributes:
        model: gives logits.
        columns: the chosen ones of its targets.
        targets: their names.
        options: the strands and the size of a batch.
    """

    model: TrainedModel
    columns: list[int]
    targets: list[str]
    options: AnswerOptions

    @classmethod
    def open(cls, options: AnswerOptions, *inputs: str) -> "Predictor":
        """Loads what the flags ask for; `inputs` are the files that it is asked about.

        Raises:
            ValueError: the model can't be loaded or has no such target, or the answers can't be
                written.
        """
        check_table(options.out, options.model, *inputs)
        model = load_model(options.model, device=options.device)
        names = list(model.targets or map(str, range(model.num_targets)))
        columns = [_find(name, names, options.model) for name in options.targets]
        columns = columns or list(range(len(names)))
        return cls(model, columns, [names[column] for column in columns], options)

    def log_odds(self, codes: Codes) -> NDArray[np.float64]:
        """Log odds of the (averaged) probabilities for coded sequences: (N, L) → (N, T).

        Log odds, as probabilities near 0 and 1 lose what differs between two of them.
        """
        from scipy.special import log_expit  # slow: not for --help

        forward = self._logits(codes)
        if not self.options.average_strands:
            return forward
        strands = np.stack([forward, self._logits(reverse_complement(codes))])
        ones, zeros = (np.logaddexp(*log_expit(sign * strands)) for sign in (1, -1))
        difference: NDArray[np.float64] = ones - zeros
        return difference

    def _logits(self, codes: Codes) -> NDArray[np.float64]:
        device, size = self.model.order.device, self.options.batch_size
        table, logits = _ONE_HOT.to(device), np.empty((len(codes), len(self.columns)))
        with torch.inference_mode():
            for start in range(0, len(codes), size):
                part = slice(start, start + size)
                batch = torch.from_numpy(np.ascontiguousarray(codes[part])).to(device)
                output = self.model(table[batch.long()].transpose(1, 2))
                logits[part] = output[:, self.columns].double().cpu().numpy()
        return logits


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _find(name: str, names: list[str], path: str) -> int:
    if names.count(name) > 1:
        numbers = ", ".join(str(n) for n, own in enumerate(names) if own == name)
        raise ValueError(f"--targets {name}: {path} has several of that name, {numbers}; say which")
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(
        f"--targets {name}: {path} has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
    )
