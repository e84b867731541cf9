"""Compares searches, baselines and random architectures at equal cost, over seeds.

python benchmarks/compare_searches.py --methods=darts,random --seeds=3 --budget=3600 ...

Every (arm, seed) is a run of the project's own scripts: search, final training, test. The same
command goes on after any crash; more seeds or arms extend a finished comparison.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.comparison.added_flags import check_added
from benchmarks.comparison.arms import SEARCHES, kind_of_arm
from benchmarks.comparison.collect import record_of
from benchmarks.comparison.earlier import reported
from benchmarks.comparison.facts import data_flags, fixed_facts, frame_flags
from benchmarks.comparison.one_run import APART, Run, device_kind, run_folder
from benchmarks.comparison.options import Options
from benchmarks.comparison.plan import Plan, fit, planned
from benchmarks.comparison.records import ONE_ARCHITECTURE, RANDOM_AVERAGE, SEARCH, RunRecord
from benchmarks.comparison.tasks import Calibration, Execution
from benchmarks.comparison.work import Cost, Sizes
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import parse_options
from generalNAS_tools.runs.run_files import RunFiles
from generalNAS_tools.runs.run_log import open_log
from generalNAS_tools.workers.dispatch import do
from generalNAS_tools.workers.tasks import FINISHED, read_state, write_state

log = logging.getLogger(__name__)


def main() -> None:
    """Plans, runs what is left, and reports."""
    options = parse_options(Options, __doc__)
    arms = options.comparison.arms()
    for name in arms:
        kind_of_arm(name)
    if not options.comparison.report_only:
        check_added(options.comparison, arms)
    folder = Path(options.comparison.save_dir).resolve()
    save = "report" if options.comparison.report_only else "compare"  # whose lock it takes
    files = RunFiles(str(folder), save=save, method=save)
    open_log(files.path("log", "txt"))
    plan = Plan(folder)
    if options.comparison.report_only:
        if missing := [name for name in arms if name not in plan.arms]:
            raise ValueError(f"--report_only: {plan.path} has no {', '.join(missing)}")
    else:
        settle(plan, arms, options)
    if options.comparison.plan_only:
        log.info("the plan is %s; the same command without --plan_only runs it", plan.path)
        return
    runs = [run for name in arms for run in runs_of(name, plan, options)]
    kept = reported(runs, plan)
    others = [run for run in runs if (run.arm, run.seed) not in kept]
    if kept:
        log.info("%d runs without a folder are those of the last report", len(kept))
    if not options.comparison.report_only:
        carry_out(others, plan, options)
    records = [record_of(run, plan.arms[run.arm].get("planned", {})) for run in others]
    report([*kept.values(), *records], plan, folder)


def settle(plan: Plan, arms: Sequence[str], options: Options) -> None:
    """Refuses what differs from before, and plans the arms that are new."""
    facts, sizes = fixed_facts(options)
    plan.check(**facts)
    if not options.on_cluster:
        for device in options.workers.device_list:
            plan.check(**{"kind of device": device_kind(device)})
    plan.threads = plan.threads or options.threads
    new = [name for name in arms if "reason" in plan.arms.get(name, {"reason": "new"})]
    add_arms(plan, new, options, sizes=sizes)


def carry_out(runs: Sequence[Run], plan: Plan, options: Options) -> None:
    """Does what is left of the runs, seed by seed: whenever it stops, arms can be compared."""
    assert plan.threads is not None
    left = []
    for run in sorted(runs, key=lambda run: run.seed):
        if "reason" in plan.arms[run.arm]:
            write_state(run.folder, {"status": "failed", "reason": plan.arms[run.arm]["reason"]})
        elif read_state(run.folder).get("status") not in FINISHED:
            left.append(run)
    log.info("%d runs, %d of them to do", len(runs), len(left))
    do([Execution(run) for run in left], plan.path.parent, options, threads=plan.threads)


def add_arms(plan: Plan, names: Sequence[str], options: Options, *, sizes: Sizes) -> None:
    """Calibrates arms that are new to the plan, and writes what each will do.

    An arm whose calibration fails gets a `reason`: its runs count as failed and leave the others
    alone, until the same command calibrates it again.

    Raises:
        ValueError: the budget fits no length of a search.
    """
    short = sizes._replace(num_steps=min(sizes.num_steps, options.comparison.calibration_steps))
    tasks = [
        Calibration(make_run(name, 0, plan, options, part="calibration"), short) for name in names
    ]
    do(tasks, plan.path.parent, options, threads=plan.threads or options.threads)
    chosen = options.comparison
    for task in tasks:
        state = read_state(task.folder)
        if "device" in state:  # a task that broke off may not know it
            plan.check(**{"kind of device": state["device"]})
        name, kind = task.run.arm, task.run.kind
        arm = {"kind": kind, "flags": {**APART} if kind == ONE_ARCHITECTURE else {}}
        if state.get("status") != "done":
            arm["reason"] = f"calibration: {state.get('reason', 'it left no result')}"
        elif kind == SEARCH:
            costs = {kind: Cost(*values) for kind, values in state["costs"].items()}
            shape = fit(
                SEARCHES[name],
                name,
                budget=chosen.budget,
                unit=chosen.budget_unit,
                costs=costs,
                sizes=sizes,
            )
            arm |= {**planned(shape, costs), "costs": costs}
            log.info("%s: %s", name, arm["flags"])
        plan.arms[name] = arm
    plan.write()


def runs_of(name: str, plan: Plan, options: Options) -> list[Run]:
    """The runs of an arm."""
    chosen = options.comparison
    count = chosen.seeds if name != RANDOM_AVERAGE else chosen.architectures or chosen.seeds
    return [make_run(name, seed, plan, options) for seed in range(count)]


def make_run(name: str, seed: int, plan: Plan, options: Options, *, part: str = "runs") -> Run:
    """A run of an arm, in its folder of a part of the comparison."""
    chosen = options.comparison
    assert plan.threads is not None
    return Run(
        arm=name,
        kind=kind_of_arm(name),
        seed=seed,
        folder=run_folder(Path(chosen.save_dir).resolve(), name, seed, part=part),
        flags=plan.arms.get(name, {}).get("flags", {}),
        data=data_flags(options),
        frame=frame_flags(options),
        more={
            "search": chosen.search_flags,
            "final": chosen.final_flags,
            "baseline": chosen.baseline_flags,
        },
        threads=plan.threads,
        device_kind=plan.fixed.get("kind of device", ""),
    )


def report(records: Sequence[RunRecord], plan: Plan, folder: Path) -> None:
    """Counts what became of the runs and writes the report."""
    from benchmarks.comparison.report import write_report  # slow: not for --help

    for record in records:
        if record.status != "done":
            where = f"{record.arm} seed {record.seed}"
            log.warning("%s: %s (%s)", where, record.status, record.reason)
    done = sum(record.status == "done" for record in records)
    log.info("%d of %d runs are done, %d are not", done, len(records), len(records) - done)
    write_report(records, folder, {**plan.fixed, "threads": plan.threads, "arms": plan.arms})


if __name__ == "__main__":
    run_command(main)
