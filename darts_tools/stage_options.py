"""Flags of the searches in stages (P-DARTS, CWP, DEP), checked against each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from darts_tools.discard_edges import check_kept_edges
from darts_tools.limit_skips import MAX_SKIPS
from darts_tools.search_stage import AlphaOptions, AlphaRule, DifferentiableOptions
from darts_tools.stages import check_frozen_epochs, check_kept_primitives, per_stage
from generalNAS_tools.runs.flags import RATE, flag, real, whole
from generalNAS_tools.runs.options import SGD_CLIP, WeightOptions
from generalNAS_tools.search_space.genotypes import (
    CNN_PRIMITIVES,
    EDGES_PER_CNN_NODE,
    RHN_PRIMITIVES,
)

ADAM_BETAS = (0.5, 0.999)
SKIP_DROPOUT_DECAY = 0.2
"""Rate per epoch at which skip-connect dropout fades once the alphas are trained."""


class StagePlan(NamedTuple):
    """What the flags ask of one stage.

    Attributes:
        epochs: its length.
        frozen_epochs: first epochs, in which the alphas stay.
        dropout_rate: of the skip connections, at its start.
        kept_cnn: primitives that survive it on every CNN edge.
        kept_rnn: primitives that survive it on every RHN edge.
    """

    epochs: int
    frozen_epochs: int
    dropout_rate: float
    kept_cnn: int
    kept_rnn: int

    def skip_dropout(self, epoch: int) -> float:
        """Rate of the skip connections' dropout in one epoch (P-DARTS, section 3.3).

        It falls linearly while the alphas are frozen, then exponentially from its start again.
        """
        if epoch < self.frozen_epochs:
            return self.dropout_rate * (self.epochs - epoch - 1) / self.epochs
        return self.dropout_rate * math.exp(-SKIP_DROPOUT_DECAY * (epoch - self.frozen_epochs))


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """The stages; a tuple holds one value for all of them, or one for each."""

    title: ClassVar = "stages (one value, or one per stage)"
    epochs: Sequence[int] = flag(whole(1), (25,), "epochs")
    frozen_epochs: Sequence[int] = flag(whole(0), (10,), "first epochs without alpha steps")
    dropout_rate: Sequence[float] = flag(RATE, (0.1, 0.2, 0.3), "skip dropout")
    num_keep_cnn: Sequence[int] = flag(
        whole(1), (6, 3, 1), "primitives kept on every CNN edge after each stage"
    )
    num_keep_rnn: Sequence[int] = flag(
        whole(1), (3, 2, 1), "primitives kept on every RHN edge after each stage"
    )
    max_skip_connects: int = flag(
        whole(0, MAX_SKIPS), 2, "skip connections allowed in the normal cell"
    )

    def plans(self) -> list[StagePlan]:
        """One plan per stage.

        Raises:
            ValueError: the flags don't fit each other; names the flag.
        """
        check_kept_primitives(self.num_keep_cnn, len(CNN_PRIMITIVES), "--num_keep_cnn")
        check_kept_primitives(self.num_keep_rnn, len(RHN_PRIMITIVES), "--num_keep_rnn")
        count = len(self.num_keep_cnn)
        if len(self.num_keep_rnn) != count:
            raise ValueError(
                f"--num_keep_rnn has {len(self.num_keep_rnn)} values; expected {count}, "
                "as --num_keep_cnn"
            )
        epochs = per_stage(self.epochs, count, "--epochs")
        frozen = per_stage(self.frozen_epochs, count, "--frozen_epochs")
        check_frozen_epochs(epochs, frozen, "--frozen_epochs")
        rates = per_stage(self.dropout_rate, count, "--dropout_rate")
        columns = (epochs, frozen, rates, self.num_keep_cnn, self.num_keep_rnn)
        return [StagePlan(*values) for values in zip(*columns, strict=True)]


@dataclass(frozen=True, kw_only=True)
class EdgeOptions:
    """How many edges DEP-DARTS keeps after each stage but the last."""

    title: ClassVar = "edges (one value, or one per stage but the last)"
    num_keep_cnn_edges: Sequence[int] = flag(whole(1), (4, 3), "per CNN node")
    num_keep_rnn_edges: Sequence[int] = flag(whole(1), (5, 3), "per RHN node")

    def kept(self, num_stages: int) -> list[tuple[int, int]]:
        """Edges kept per CNN and RHN node after each stage but the last.

        Raises:
            ValueError: too few, rising, or not one number for each of these stages.
        """
        count = num_stages - 1
        if not count:
            return []
        each = "stage but the last"
        cnn = per_stage(self.num_keep_cnn_edges, count, "--num_keep_cnn_edges", each=each)
        rnn = per_stage(self.num_keep_rnn_edges, count, "--num_keep_rnn_edges", each=each)
        check_kept_edges(cnn, EDGES_PER_CNN_NODE, "--num_keep_cnn_edges")
        check_kept_edges(rnn, 1, "--num_keep_rnn_edges")
        return list(zip(cnn, rnn, strict=True))


@dataclass(frozen=True, kw_only=True)
class StagedAlphaOptions(AlphaOptions):
    """How the alphas are trained, more slowly than in genomeDARTS."""

    arch_lr: float = flag(real(0.0), 6e-4, "learning rate of their Adam")


@dataclass(frozen=True, kw_only=True)
class StagedOptions(DifferentiableOptions):
    """The options of P-DARTS and CWP-DARTS."""

    alphas: StagedAlphaOptions
    stages: StageOptions


@dataclass(frozen=True, kw_only=True)
class EdgeStagedOptions(StagedOptions):
    """The options of DEP-DARTS."""

    edges: EdgeOptions


def staged_rule(weights: WeightOptions) -> AlphaRule:
    """How the alphas of a search in stages are stepped (Chen et al., P-DARTS, ICCV 2019)."""
    clip = SGD_CLIP if weights.clip is None else weights.clip
    return AlphaRule(betas=ADAM_BETAS, clip=clip)
