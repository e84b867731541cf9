"""Measures the memory and time of make_bundle.py on generated data.

python -m tests.scripts.bundle_memory FOLDER [windows] [targets]
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
BIN = 200


def generate(folder, windows, targets):
    """Four chromosomes that train and two small ones; about eight peaks over every base."""
    lengths = dict.fromkeys(("1", "2", "3", "4"), windows * BIN // 4)
    lengths |= dict.fromkeys(("5", "6"), windows * BIN // 100)
    rng = np.random.default_rng(0)
    with (folder / "genome.fa").open("wb") as file:
        for name, length in lengths.items():
            bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, length, np.uint8)]
            file.write(f">{name}\n".encode())
            lines = np.full((length // 50, 51), ord("\n"), np.uint8)
            lines[:, :50] = bases[: length // 50 * 50].reshape(-1, 50)
            file.write(lines.tobytes())
    for target in range(targets):
        with (folder / f"t{target}.bed").open("w") as file:
            for name, length in lengths.items():
                starts = rng.integers(0, length - 400, length * 8 // 400 // targets)
                file.writelines(f"{name}\t{start}\t{start + 400}\n" for start in starts)


def main():
    folder, windows, targets = Path(sys.argv[1]), *(*map(int, sys.argv[2:]), 1_000_000, 200)[:2]
    folder.mkdir(parents=True, exist_ok=True)
    generate(folder, windows, targets)
    peaks = [str(folder / f"t{target}.bed") for target in range(targets)]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "data_generators/make_bundle.py", f"--genome={folder / 'genome.fa'}",
         "--peaks", *peaks, "--valid_chroms=5", "--test_chroms=6", f"--directory={folder / 'out'}",
         "--overwrite"],
        cwd=ROOT, check=True, stderr=(folder / "log").open("w"),
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    figures = {"seconds": time.perf_counter() - start, "peak_GiB": peak}
    print(json.dumps(figures), (folder / "log").read_text().splitlines()[-2 - targets :][:1])


if __name__ == "__main__":
    main()
