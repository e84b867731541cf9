"""How a supernet is judged: by which statistics, and whether another half of the data agrees.

python -m benchmarks.supernet_evaluation trains OSP-NAS's first supernet (--mixing=ones) or DARTS's
with uniform weights (--mixing=uniform). After every epoch it prints the validation losses with
running statistics and with those of batches of several sizes, then draws removals as OSP-NAS does
and says how well the orders of the candidates on two disjoint halves of the set agree.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from generalNAS_tools.data.deepsea_data import PackedSplit, epoch_indices, even_batches
from generalNAS_tools.files.atomic_files import reading
from generalNAS_tools.runs.command import Setup, run_command, set_up
from generalNAS_tools.runs.flags import flag, parse_options, whole
from generalNAS_tools.runs.options import SupernetOptions, TrainingOptions
from generalNAS_tools.search_space.edge_masks import Masks, full_masks
from generalNAS_tools.search_space.mixing import MixingWeights, mask_mixing
from generalNAS_tools.training.train_loop import evaluate, rhn_batch_statistics
from generalNAS_tools.training.train_step import bce_loss
from randomSearch_and_Hyperband_Tools.osp_masks import (
    candidate_masks,
    draw_removals,
    hurt_most,
    initial_masks,
)
from randomSearch_and_Hyperband_Tools.osp_stage import OSPStage, start_round

log = logging.getLogger(__name__)

SIZES = 32, 64, 128, 256
STATISTICS = {"batch": True, "running": False}
HALVINGS = 200
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is evaluated."""

    title: ClassVar = "evaluation"
    mixing: str = flag(str, "ones", "weights of the operations", choices=["ones", "uniform"])
    num_init_archs: int = flag(whole(0), 108, "operations per mask, for --mixing=ones")
    num_ops: int = flag(whole(2), 7, "candidates: removals drawn per mask")
    draws: int = flag(whole(0), 3, "draws of candidates after each epoch")


@dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    """The flags of this script."""

    evaluation: EvaluationOptions


def batch_sizes(stage: OSPStage, setup: Setup) -> dict[str, float]:
    """Validation losses, by the statistics that are used."""
    losses, whole = {}, setup.splits.valid.num_sequences
    for name, size in [("running", setup.loop.batch_size), *((f"batch {n}", n) for n in SIZES)]:
        loop = replace(
            setup.loop, batch_size=size, num_steps=whole, batch_statistics=name != "running"
        )
        figures = evaluate(
            stage.supernet,
            stage.forward,
            split=setup.splits.valid,
            run=setup.run,
            options=loop,
            areas=False,
        )
        losses[name] = figures.loss
    return losses


def batch_losses(
    supernet: torch.nn.Module, mixing: MixingWeights, setup: Setup, *, batch: bool
) -> Array:
    """Mean validation losses of every batch, (batches,)."""
    split: PackedSplit = setup.splits.valid
    order = epoch_indices(split.num_sequences, seed=setup.loop.seed, epoch=0)
    losses = []
    supernet.eval()
    with torch.inference_mode(), rhn_batch_statistics(supernet, batch):
        for part in even_batches(order, setup.loop.batch_size):
            data = split.batch(part, setup.device)
            losses.append(bce_loss(supernet(data.x, mixing), data).item())
            setup.run.stop_if_asked()
    return np.array(losses)


def reliability(losses: Array) -> dict[str, float]:
    """How far the candidates' order repeats.

    Args:
        losses: (candidates, batches).

    Returns:
        `spearman`: mean rank correlation between two disjoint random halves of the batches.
        `spread`: standard deviation of the candidates' losses.
        `noise`: standard error of a candidate's difference from the mean candidate.
        `same choice`: share of the halvings whose halves find the same removal to hurt most.
    """
    from scipy import stats  # slow: not for --help

    rng, count = np.random.default_rng(0), losses.shape[1]
    found, same = [], []
    for _ in range(HALVINGS):
        order = rng.permutation(count)
        halves = [losses[:, part].mean(1) for part in (order[: count // 2], order[count // 2 :])]
        found.append(stats.spearmanr(*halves).statistic)
        same.append(hurt_most(halves[0]) == hurt_most(halves[1]))
    own = losses - losses.mean(0)
    noise = own.std(1, ddof=1).mean() / np.sqrt(count)
    return {
        "spearman": float(np.mean(found)),
        "spread": float(losses.mean(1).std(ddof=1)),
        "noise": float(noise),
        "same choice": float(np.mean(same)),
    }


def removals(
    stage: OSPStage, masks: Masks, setup: Setup, options: EvaluationOptions, epoch: int
) -> list[dict[str, Any]]:
    """A row for each draw of candidates and kind of statistics."""
    from scipy import stats  # slow: not for --help

    rows = []
    for draw in range(options.draws):
        rng = np.random.default_rng([setup.loop.seed, epoch, draw])
        drawn = [draw_removals(mask, options.num_ops, rng) for mask in masks]
        mixings = [mask_mixing(one, setup.device) for one in candidate_masks(masks, drawn)]
        means = {}
        for name, batch in STATISTICS.items():
            losses = np.stack(
                [batch_losses(stage.supernet, one, setup, batch=batch) for one in mixings]
            )
            means[name] = losses.mean(1)
            rows.append({"epoch": epoch + 1, "draw": draw, "by": name, **reliability(losses)})
        rows[-1]["spearman of batch and running"] = float(stats.spearmanr(*means.values())[0])
        _report(rows[-len(STATISTICS) :])
    return rows


def _report(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        log.info(
            ", ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
            )
        )


def main() -> None:
    """Trains a supernet and judges it after every epoch."""
    options = parse_options(Options, __doc__, save_dir="results/evaluation", epochs=2)
    chosen, epochs = options.evaluation, options.length.epochs
    masks = full_masks()
    if chosen.mixing == "ones":
        masks = initial_masks(np.random.default_rng(options.run.seed), chosen.num_init_archs)
    setup = set_up(options, "evaluation", supernet=SupernetOptions())
    run = setup.run
    stage = start_round(masks, None, setup, weights=options.weights, epochs=epochs)
    if chosen.mixing == "uniform":
        uniform = MixingWeights(*(torch.full(mask.shape, 1 / mask.shape[1]) for mask in masks))
        stage = stage._replace(mixing=MixingWeights(*(one.to(setup.device) for one in uniform)))
    run.track(**stage.stateful())
    rows: dict[str, list[dict[str, Any]]] = {"batch sizes": [], "candidates": []}
    path = run.files.path("evaluation", "json")
    if run.continues and path.exists():
        with reading(path, "an evaluation"):
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = {n: [{**row, "epoch": int(row["epoch"])} for row in found[n]] for n in rows}
    for epoch in run.epochs(epochs):
        figures = stage.epoch(setup, epoch)
        rows = {name: [row for row in all_ if row["epoch"] <= epoch] for name, all_ in rows.items()}
        rows["batch sizes"].append({"epoch": epoch + 1, **figures, **batch_sizes(stage, setup)})
        _report(rows["batch sizes"][-1:])
        if chosen.mixing == "ones":
            rows["candidates"] += removals(stage, masks, setup, chosen, epoch)
        run.files.write_json("evaluation", rows)
        run.end_epoch(figures)


if __name__ == "__main__":
    run_command(main)
