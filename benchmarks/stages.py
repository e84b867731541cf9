"""How a weight step of the supernet gets cheaper from stage to stage of P-DARTS, CWP and DEP.

Random weights decide what is dropped, as the softmax weights do in a search. The steps of all
stages are timed in turn in one process; prints a table and writes it as JSON.
"""

import json
import sys
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.bench import in_turn, random_batch
from benchmarks.machine import count_operations
from benchmarks.settings import Options, write_report
from darts_tools.alphas import Alphas, EdgeWeights, active_weights, carry_alphas
from darts_tools.discard_edges import discard_edges
from darts_tools.stages import drop_primitives
from generalNAS_tools.data.deepsea_data import Batch
from generalNAS_tools.networks.frame import NetworkOutput
from generalNAS_tools.networks.supernet import Supernet, inherit_weights
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.search_space.edge_masks import Masks, full_masks
from generalNAS_tools.training.optimizers import weight_optimizer
from generalNAS_tools.training.train_step import weight_step

KEPT_PRIMITIVES = ((6, 3), (3, 2))
KEPT_EDGES = ((4, 5), (3, 3))
"""After stages 1 and 2, per CNN edge and RHN edge, or per CNN node and RHN node."""
METHODS = ("P-DARTS", "CWP-DARTS", "DEP-DARTS")


class Stage(NamedTuple):
    """A weight step of a stage, its FLOPs, and the number of weights it trains."""

    step: Callable[[], Any]
    flops: int
    weights: int


def main() -> None:
    """Measures all stages."""
    options = parse_options(
        Options, __doc__, seq_size=200, num_targets=100, batch_size=8, output="bench_stages.json"
    )
    device = options.set_up()
    batch = random_batch(options, device)
    searches = {method: make_stages(method, options, batch) for method in METHODS}
    work = {(name, i): s.step for name, stages in searches.items() for i, s in enumerate(stages)}
    seconds = {key: median(taken) for key, taken in in_turn(work, options, device).items()}
    results = {
        method: [
            row(stage, stages[0], seconds=seconds[method, i], first=seconds[method, 0])
            for i, stage in enumerate(stages)
        ]
        for method, stages in searches.items()
    }
    write_report(options, results)
    for method, rows in results.items():
        for number, values in enumerate(rows, start=1):
            sys.stdout.write(f"{method:10} stage {number}  {json.dumps(values)}\n")


def row(stage: Stage, start: Stage, *, seconds: float, first: float) -> dict[str, float]:
    """Seconds of a stage, and its costs as ratios to those of the first one."""
    return {
        "seconds": round(seconds, 4),
        "time ratio": round(seconds / first, 3),
        "FLOP ratio": round(stage.flops / start.flops, 3),
        "weights ratio": round(stage.weights / start.weights, 3),
    }


def stage_masks(method: str) -> list[Masks]:
    """Masks of the three stages of a search whose alphas are random."""
    rng, masks = np.random.default_rng(0), [full_masks()]
    for (cnn, rnn), (cnn_edges, rnn_edges) in zip(KEPT_PRIMITIVES, KEPT_EDGES, strict=True):
        before = masks[-1]
        weights = EdgeWeights(*(active_weights(rng.normal(size=m.shape), m) for m in before))
        kept = drop_primitives(before, weights, kept_cnn=cnn, kept_rnn=rnn)
        if method == "DEP-DARTS":
            kept = discard_edges(kept, weights, cnn_edges=cnn_edges, rnn_edges=rnn_edges)
        masks.append(kept)
    return masks


def make_stages(method: str, options: Options, batch: Batch) -> list[Stage]:
    """The three stages of a search."""
    stages: list[Stage] = []
    before: tuple[Supernet, Alphas] | None = None
    for masks in stage_masks(method):
        supernet, alphas = Supernet(masks, options.frame), Alphas(masks)
        if method == "CWP-DARTS" and before is not None:
            inherit_weights(supernet, before[0])
            alphas = carry_alphas(before[1], masks)
        before = supernet, alphas
        step = step_of(supernet.to(batch.x.device), alphas.to(batch.x.device), options, batch)
        with count_operations() as counter:
            step()
        weights = sum(parameter.numel() for parameter in supernet.parameters())
        stages.append(Stage(step, counter.get_total_flops(), weights))
    return stages


def step_of(
    supernet: Supernet, alphas: Alphas, options: Options, batch: Batch
) -> Callable[[], tuple[Tensor, Tensor]]:
    """A weight step, the mixing weights as constants."""
    optimizer = weight_optimizer(supernet, options.weights)
    loop = options.loop(batch.x.device, amp=options.measuring.amp)
    with torch.no_grad():
        mixing = alphas.mixing_weights()
    supernet.train()

    def forward(x: Tensor) -> NetworkOutput:
        return supernet(x, mixing)

    return lambda: weight_step(supernet, forward, optimizer, batch=batch, options=loop)


if __name__ == "__main__":
    main()
