"""How fast the project is, as ratios to its plain form, measured interleaved in one process.

The plain form (`networks/plain_network`, `tests/plain_forms`) is what one would write first: a
module per primitive and edge, loops over time steps and nodes. Prints a table in Markdown, writes
bench.json.
"""

import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.machine import count_operations, describe, peak_product
from benchmarks.settings import Options, seconds_of, write_report
from darts_tools.alphas import Alphas
from darts_tools.architect import without_gradients
from generalNAS_tools.data.deepsea_data import Batch, open_split
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.plain_network import PlainFinalNetwork, take_weights
from generalNAS_tools.networks.supernet import Supernet
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.runs.loop_options import LoopOptions
from generalNAS_tools.search_space.edge_masks import full_masks
from generalNAS_tools.training.captured_step import captured
from generalNAS_tools.training.optimizers import weight_optimizer
from generalNAS_tools.training.train_loop import captured_logits
from generalNAS_tools.training.train_step import bce_loss, weight_step
from randomSearch_and_Hyperband_Tools.random_genotypes import random_genotype
from tests.fake_card import Card, fake_card
from tests.plain_forms.network import PlainSupernet
from tests.toy_bundle import write_toy_bundle

TARGETS = {
    "supernet weight step": 2.0,
    "supernet alpha step": 3.0,
    "final-network step": 1.5,
    "inference, final network": 2.0,
}
"""Ratios to reach on a CPU in float32."""


class Pair(NamedTuple):
    """The same work in both forms.

    Attributes:
        plain: the form that one would write first.
        fast: the project's.
        needed: the plain form without what the work doesn't need, whose operations are counted.
    """

    plain: Callable[[], Any]
    fast: Callable[[], Any]
    needed: Callable[[], Any] | None = None


def main() -> None:
    """Measures everything."""
    options = parse_options(Options, __doc__)
    device = options.set_up()
    results = measure_steps(options, device) | measure_small(options, device)
    for name, make in (("plain", PlainSupernet), ("fast", Supernet)):
        results[f"peak memory of a weight step, {name} (MB)"] = peak_memory(make, options, device)
    ratio = (
        results["peak memory of a weight step, fast (MB)"]
        / (results["peak memory of a weight step, plain (MB)"])
    )
    results["peak memory of a weight step (fast / plain)"] = round(ratio, 3)
    results |= measure_data(options, device)
    results = {"machine": describe(device, options.measuring.threads), **results}
    write_report(options, results)
    sys.stdout.write("\n".join(markdown(results)) + "\n")


COLUMNS = {
    "plain": "plain (s)",
    "fast": "genomeNAS (s)",
    "ratio": "ratio",
    "cpu target": "goal on a CPU",
    "launches": "launches on a GPU",
    "of peak": "of the matrix peak",
}


def markdown(results: dict[str, Any]) -> list[str]:
    """Lines of a table, and of a list with the figures that have no columns."""
    rows = {name: value for name, value in results.items() if isinstance(value, dict)}
    lines = [f"| what | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in rows.items():
        cells = " | ".join(str(row.get(column, "")) for column in COLUMNS)
        lines.append(f"| {name} | {cells} |")
    more = {name: value for name, value in results.items() if name not in rows}
    return [*lines, "", *(f"- {name}: {value}" for name, value in more.items())]


def random_batch(options: Options, device: torch.device) -> Batch:
    """Random DNA and labels."""
    bases = torch.randint(
        4, (options.measuring.batch_size, options.measuring.seq_size), device=device
    )
    x = nn.functional.one_hot(bases, 4).transpose(1, 2).float().contiguous()
    labels = (
        torch.rand(options.measuring.batch_size, options.measuring.num_targets, device=device)
        < 0.05
    ).float()
    return Batch(x, labels)


def measure_steps(options: Options, device: torch.device) -> dict[str, Any]:
    """Ratios of the network steps, and what the fast ones launch on a GPU.

    The operations of a step, set against the device's matrix peak, are those of the plain form, but
    for the gradients of weights that an alpha step has no use for.
    """
    launches = count_launches(options)
    results = {}
    for name, pair in step_pairs(options, random_batch(options, device)).items():
        row = measured(pair, options, device, target=TARGETS.get(name))
        results[name] = row | {"launches": launches[name]}
    return results


def measured(
    pair: Pair, options: Options, device: torch.device, *, target: float | None
) -> dict[str, Any]:
    """The ratio of a pair and its fast form's share of the matrix peak, in operations a second."""
    product, most = peak_product(device)
    product()
    operations = warm_up(pair, device)
    work = {"plain": pair.plain, "fast": pair.fast, "product": product}
    seconds = in_turn(work, options, device)
    row = ratio(seconds, target)
    return row | {"of peak": round(operations / row["fast"] / (most / min(seconds["product"])), 3)}


def measure_small(options: Options, device: torch.device) -> dict[str, Any]:
    """A step of the small network that comparisons run."""
    name, small = "supernet weight + alpha step", small_network(options)
    pair = supernet_pairs(small, random_batch(small, device))[name]
    row = measured(pair, small, device, target=None)
    return {f"small network, {name}": row}


def small_network(options: Options) -> Options:
    """The options with the network that comparisons run on yeast's proteins."""
    frame = replace(options.network, init_channels=4, layers=3)
    measuring = replace(options.measuring, seq_size=200, num_targets=164)
    return replace(options, network=frame, measuring=measuring)


def step_pairs(options: Options, batch: Batch) -> dict[str, Pair]:
    """Every kind of step."""
    return supernet_pairs(options, batch) | final_pairs(options, batch)


def count_launches(options: Options) -> dict[str, int]:
    """Kernels that a GPU is given in a step of the fast form, compiled; counted without one."""
    counts = {}
    with fake_card() as device:
        for name, pair in step_pairs(options, random_batch(options, device)).items():
            with Card() as card:
                pair.fast()
            counts[name] = card.total
    return counts


def supernet_pairs(options: Options, batch: Batch) -> dict[str, Pair]:
    """Weight step, alpha step, and both, of the full supernet."""
    device = batch.x.device
    fast = Supernet(full_masks(), options.frame).to(device)
    plain = PlainSupernet(full_masks(), options.frame).to(device).load_from(fast)
    alphas = Alphas(full_masks()).to(device)

    loop = options.loop(device, amp=options.measuring.amp)

    def alpha_fast(batch: Batch) -> tuple[Tensor, ...]:
        with without_gradients(fast), loop.autocast():
            output = fast(batch.x, alphas.mixing_weights())
        return torch.autograd.grad(bce_loss(output, batch), list(alphas.parameters()))

    def alpha_plain() -> None:
        alphas.zero_grad()
        bce_loss(plain(batch.x, alphas.mixing_weights()), batch).backward()

    def alpha_needed() -> None:
        with without_gradients(plain):
            alpha_plain()

    alpha_step = captured(alpha_fast, [fast], loop)
    alpha = Pair(alpha_plain, lambda: alpha_step(batch), alpha_needed)
    weights = weight_pair(options, plain, fast, batch, alphas=alphas)

    def both(alpha: Callable[[], Any], weight: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            alpha()
            weight()

        return run

    return {
        "supernet weight step": weights,
        "supernet alpha step": alpha,
        "supernet weight + alpha step": Pair(
            both(alpha.plain, weights.plain),
            both(alpha.fast, weights.fast),
            both(alpha_needed, weights.plain),
        ),
    }


def weight_pair(
    options: Options,
    plain: nn.Module,
    fast: nn.Module,
    batch: Batch,
    *,
    alphas: Alphas | None = None,
) -> Pair:
    """A weight step in both forms; the plain optimizer is torch's default one."""
    inputs = () if alphas is None else (tuple_of(alphas),)
    fast_optimizer = weight_optimizer(fast, options.weights)
    plain_optimizer = weight_optimizer(plain, options.weights, fused=False)

    def step(
        network: nn.Module, optimizer: torch.optim.Optimizer, loop: LoopOptions
    ) -> Callable[[], Any]:
        work = captured(
            lambda batch: weight_step(
                network, lambda x: network(x, *inputs), optimizer, batch=batch, options=loop
            ),
            [network, optimizer],
            loop,
        )

        def run() -> None:
            network.train()
            work(batch)

        return run

    loop = options.loop(batch.x.device)
    return Pair(
        step(plain, plain_optimizer, replace(loop, cuda_graph=False)),
        step(fast, fast_optimizer, replace(loop, amp=options.measuring.amp)),
    )


def tuple_of(alphas: Alphas) -> Any:
    """Mixing weights as constants."""
    with torch.no_grad():
        return alphas.mixing_weights()


def final_pairs(options: Options, batch: Batch) -> dict[str, Pair]:
    """Training step and inference of a random final network."""
    genotype = random_genotype(np.random.default_rng(0))
    fast = FinalNetwork(genotype, options.frame).to(batch.x.device)
    plain = take_weights(PlainFinalNetwork(genotype, options.frame).to(batch.x.device), fast)

    def infer(network: nn.Module, loop: LoopOptions) -> Callable[[], Any]:
        read = captured_logits(network, loop)

        def run() -> None:
            network.eval()
            with torch.inference_mode():
                read(batch)

        return run

    loop = options.loop(batch.x.device)
    return {
        "final-network step": weight_pair(options, plain, fast, batch),
        "inference, final network": Pair(
            infer(plain, replace(loop, cuda_graph=False)),
            infer(fast, replace(loop, amp=options.measuring.amp)),
        ),
    }


def warm_up(pair: Pair, device: torch.device) -> int:
    """Does the work of both forms once; gives the floating-point operations that it needs."""
    with count_operations() as counter:
        seconds_of(pair.needed or pair.plain, device)
    if pair.needed:
        seconds_of(pair.plain, device)
    seconds_of(pair.fast, device)
    return counter.get_total_flops()


def in_turn(
    work: Mapping[Any, Callable[[], Any]], options: Options, device: torch.device
) -> dict[Any, list[float]]:
    """Seconds of each work, taken in turn, since a shared machine changes its pace."""
    seconds: dict[Any, list[float]] = {name: [] for name in work}
    for _ in range(options.measuring.repeats):
        for name, each in work.items():
            seconds[name].append(seconds_of(each, device))
    return seconds


def ratio(seconds: Mapping[str, list[float]], target: float | None) -> dict[str, Any]:
    """Median seconds of both forms, and their ratio."""
    medians = {name: statistics.median(seconds[name]) for name in ("plain", "fast")}
    result = {name: round(value, 6) for name, value in medians.items()}
    result["ratio"] = round(medians["plain"] / medians["fast"], 2)
    return result | ({"cpu target": target} if target else {})


def peak_memory(make: Callable[..., nn.Module], options: Options, device: Any) -> float:
    """Peak memory that a weight step adds to weights and batch, in MB."""
    if device.type == "cuda":
        return _step_memory(make, options, device)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_step_memory, (make, options, device))


def _step_memory(make: Callable[..., nn.Module], options: Options, device: Any) -> float:
    torch.set_num_threads(options.measuring.threads)
    batch = random_batch(options, device)
    network = make(full_masks(), options.frame).to(device)
    pair = weight_pair(options, network, network, batch, alphas=Alphas(full_masks()).to(device))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        pair.plain()  # the same network without a graph, which would keep its memory
        return round((torch.cuda.max_memory_allocated(device) - before) / 1e6, 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmHWM")
    pair.fast()
    return round((_resident("VmHWM") - before) / 1e3, 1)


def _resident(field: str) -> int:
    """A memory figure of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure_data(options: Options, device: torch.device) -> dict[str, Any]:
    """Batch assembly from the packed cache, and opening 100,000 sequences."""
    count = 2000
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_toy_bundle(
            folder,
            num_train=count,
            seq_size=options.measuring.seq_size,
            num_targets=options.measuring.num_targets,
        )
        split = open_split(bundle.train, "train")
        floats = split.batch(torch.arange(count), torch.device("cpu"))
        x, labels = floats.x.numpy(), floats.labels.numpy()
        order = torch.from_numpy(np.random.default_rng(0).permutation(count)).split(64)[:-1]

        def plain() -> None:
            for part in order:
                torch.from_numpy(x[part.numpy()]).to(device)
                torch.from_numpy(labels[part.numpy()]).to(device)

        def fast() -> None:
            for part in order:
                split.batch(part, device)

        pair = Pair(plain, fast)
        warm_up(pair, device)
        result = ratio(in_turn({"plain": plain, "fast": fast}, options, device), None)
    result["sequences/s"] = round(64 * len(order) / result["fast"])
    return {"batch assembly (plain: float32 in memory)": result}


if __name__ == "__main__":
    main()
