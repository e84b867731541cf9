"""Kills runs with SIGKILL at random moments, and compares what they end with at last.

python -m tests.robustness.kills --runs=100

Every process is a real one, killed anywhere from the start of its interpreter on; the same command
follows, up to a few times, and the last one is left alone. All eight searches, the final training
and two baselines take turns, each in a folder with data of its own, so that packing is killed too.
It takes about half a minute a kill, so it is no part of `make test`.
"""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.scripts.in_process import ROOT
from tests.scripts.runs import log_of
from tests.scripts.sampling_cases import everything
from tests.scripts.trajectory_runs import RUNS

SEARCHES = ("darts", "pdarts", "cwp_darts", "dep_darts", "osp", "bonas", "random", "hyperband")
NAMES = (*SEARCHES, "final", "danq", "deepsea")
MOST_KILLS = 8
"""Of one run, before it is left alone."""
NO_RESULT = ("config", "checkpoint")
SLOWEST_SECONDS = 1800


class Chain:
    """A run in a folder of its own, started again and again."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.command = [sys.executable, ROOT / RUNS[name].script, *RUNS[name].line(folder)]

    def start(self):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with (self.folder / "stderr.txt").open("w") as stderr:
            return subprocess.Popen(self.command, env=environment, stderr=stderr)

    def finish(self):
        """Leaves it alone; gives what it ends with, and the seconds."""
        start, code = time.monotonic(), self.start().wait(SLOWEST_SECONDS)
        if code != 0:
            return (self.folder / "stderr.txt").read_text()[-2000:], None
        return self.ending(), time.monotonic() - start

    def kill(self, seconds):
        """Kills it some seconds after its start; gives where it was, or None if it was done."""
        before, process = log_of(self.folder / "run"), self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode == 0:
            return None
        if process.returncode > 0:
            return "failed"
        return "running" if log_of(self.folder / "run") != before else "starting"

    def ending(self):
        """Everything that must not depend on kills; names of files show what they left over."""
        files = self.folder / "run"
        found = everything(files)
        for path in files.glob("*.json*"):
            if not path.name.startswith(NO_RESULT):
                rows = map(json.loads, path.read_text().splitlines())
                whole = path.suffix == ".jsonl"
                found[path.name] = [_timeless(row) for row in rows] if whole else path.read_text()
        return found


def _timeless(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def kill_one(name, folder, *, expected, seconds, chance):
    """Kills a run up to `MOST_KILLS` times, lets it end; gives the kills and what differs."""
    chain, kills = Chain(name, folder), collections.Counter()
    for _ in range(chance.randint(1, MOST_KILLS)):
        where = chain.kill(chance.uniform(0, seconds))
        if where is None:
            break
        kills[where] += 1
    found, _ = chain.finish()
    if isinstance(found, str):
        return kills, [found]
    names = expected.keys() | found.keys()
    return kills, sorted(name for name in names if expected.get(name) != found.get(name))


def main():
    """Kills, and says what differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="kills in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these scripts")
    options = parser.parse_args()
    chance, undisturbed = random.Random(options.seed), {}
    total, different, number = collections.Counter(), 0, 0
    home = Path(tempfile.mkdtemp(prefix="kills-"))
    while total.total() < options.runs:
        name = options.only[number % len(options.only)]
        if name not in undisturbed:
            (home / name).mkdir()
            undisturbed[name] = Chain(name, home / name).finish()
        expected, seconds = undisturbed[name]
        if seconds is None:
            sys.exit(f"{name} fails undisturbed: {expected}")
        number += 1
        folder = home / f"{number}-{name}"
        folder.mkdir()
        kills, parts = kill_one(name, folder, expected=expected, seconds=seconds, chance=chance)
        total += kills
        different += bool(parts)
        outcome = f"DIFFERS in {', '.join(parts)}; see {folder}" if parts else "same"
        print(f"{total.total():4} kills  {name:10} {dict(kills)}  {outcome}", flush=True)
    print(f"{number} runs, {total.total()} kills {dict(total)}, {different} runs that differ")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
