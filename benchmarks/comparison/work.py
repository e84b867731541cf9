"""What a search costs, in the parts that a history tells apart."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

UNITS = ("seconds", "sequences", "epochs")
"""What a budget may be counted in: device-seconds, training sequences, or epochs of any network."""


class Sizes(NamedTuple):
    """How large an epoch is.

    Attributes:
        num_train, num_valid: sequences of the two sets.
        batch_size: sequences a step.
        num_steps: steps an epoch, at most.
    """

    num_train: int
    num_valid: int
    batch_size: int
    num_steps: int

    def steps(self, larger: int = 1) -> int:
        """Steps of an epoch, at least a short one, of batches `larger` times the usual ones."""
        return max(1, min(self.num_steps, self.num_train // (larger * self.batch_size)))

    def batches(self, larger: int = 1) -> int:
        """Batches of a validation."""
        return min(self.num_steps, -(-self.num_valid // (larger * self.batch_size)))


class Part(NamedTuple):
    """A piece of a search.

    Attributes:
        kind: which steps these are; steps of one kind cost the same.
        epochs: whole passes of training.
        steps: steps of training.
        batches: batches that are evaluated.
        sequences: sequences that go forward and backward.
    """

    kind: str
    epochs: float = 0.0
    steps: float = 0.0
    batches: float = 0.0
    sequences: float = 0.0


class Shape(NamedTuple):
    """A search of some length.

    Attributes:
        flags: that make the script this long.
        parts: what it then does.
    """

    flags: Mapping[str, Any]
    parts: Sequence[Part]


class Cost(NamedTuple):
    """Device-seconds of one kind of work: of a step, and of an evaluated batch."""

    step: float
    batch: float


def training(kind: str, epochs: float, sizes: Sizes, *, passes: int = 1, larger: int = 1) -> Part:
    """Epochs that train and validate.

    Args:
        kind: of their steps.
        epochs: how many.
        sizes: of an epoch.
        passes: batches that go forward and backward in a step, 2 with an alpha step.
        larger: how many times the usual size a batch has.
    """
    steps, batches = epochs * sizes.steps(larger), epochs * sizes.batches(larger)
    size = min(larger * sizes.batch_size, sizes.num_train)
    return Part(kind, epochs, steps, batches, steps * size * passes)


def amount(shape: Shape, unit: str, costs: Mapping[str, Cost]) -> float:
    """What a search takes of a budget."""
    if unit == "seconds":
        return sum(
            part.steps * costs[part.kind].step + part.batches * costs[part.kind].batch
            for part in shape.parts
        )
    return sum(getattr(part, unit) for part in shape.parts)
