"""The trajectory of every script: recorded, compared, written.

python -m tests.scripts.trajectories --write      # replaces tests/trajectories/*.json
python -m tests.scripts.trajectories --digests    # for comparing two commits on one machine

Reads nothing but the files that a script writes, and what torch's optimizers show while it runs.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import math
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from tests.scripts.double_precision import double_precision
from tests.scripts.in_process import ROOT, run_script
from tests.scripts.step_spy import StepSpy
from tests.scripts.trajectory_runs import RUNS, SAVE

EXPECTED = ROOT / "tests" / "trajectories"
DIGITS = 8
RELATIVE, ABSOLUTE = 1e-5, 1e-9
ABSENT = "absent"


def run(name, folder):
    """Runs a script within `folder`, on one thread; gives the folder of its files."""
    line, threads = RUNS[name].line(folder), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with mock.patch("matplotlib.figure.Figure.savefig"):
            outcome = run_script(RUNS[name].script, line)
    finally:
        torch.set_num_threads(threads)
    if outcome.code != 0:
        raise RuntimeError(f"{name}: {outcome.stderr}")
    return folder / "run"


def record(name, folder):
    """The trajectory of a run, as plain values of `DIGITS` significant digits."""
    spy = StepSpy()
    with double_precision(), spy.watching():
        files = run(name, folder)
    found = tables(files)
    found |= {f"alphas_{cell}": rows for cell, rows in _alphas(files)}
    found |= {"model": _model(files), "genotype": _genotype(files)}
    found |= {"optimizers": spy.optimizers, "steps": spy.steps}
    return json.loads(json.dumps(_rounded(found)))


def tables(files):
    """Every table and report that a run wrote, by name, without the seconds."""
    found = {}
    for path in sorted(files.iterdir()):
        name = path.name.removesuffix(f"-{SAVE}{path.suffix}")
        if path.suffix == ".csv":
            rows = csv.DictReader(path.read_text().splitlines())
            found[name] = [{key: _number(text) for key, text in row.items()} for row in rows]
        elif path.suffix == ".jsonl":
            found[name] = [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".json" and name != "config":
            found[name] = json.loads(path.read_text())
        for row in found.get(name, []) if path.suffix in {".csv", ".jsonl"} else []:
            row.pop("seconds", None)
    return found


def as_text(trajectory):
    """JSON with a line for each row, so that a changed epoch is a changed line."""
    parts = []
    for name, value in trajectory.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = f"[\n  {_lines(map(json.dumps, value))}\n ]"
        elif isinstance(value, dict):
            pairs = (f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
            text = f"{{\n  {_lines(pairs)}\n }}"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows):
    return ",\n  ".join(rows)


def differences(expected, found, place="", *, area=ABSOLUTE):
    """Where two trajectories differ, a line each; floats may by `RELATIVE`, areas by `area`."""
    if isinstance(expected, list) and isinstance(found, list):
        expected, found = (dict(enumerate(each)) for each in (expected, found))
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(key, expected.get(key, ABSENT), found.get(key, ABSENT)) for key in expected]
        pairs += [(key, ABSENT, found[key]) for key in found if key not in expected]
        return [
            line for key, *pair in pairs for line in differences(*pair, f"{place}.{key}", area=area)
        ]
    if isinstance(expected, float) and isinstance(found, float):
        least = area if place.endswith(("_auroc", "_auprc")) else ABSOLUTE
        same = math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=least)
    else:
        same = type(expected) is type(found) and expected == found
    return [] if same else [f"{place[1:]}: expected {expected}, found {found}"]


def digests(name, folder):
    """Lines of SHA-256 sums: final weights and all saved state, genotype, history, the rest."""
    files = run(name, folder)
    state = torch.load(files / f"checkpoint-{SAVE}.pt", map_location="cpu", weights_only=True)[
        "objects"
    ]
    tensors = list(nested_tensors(state))
    models = [
        each
        for path in sorted(files.glob("*.pth"))
        for each in nested_tensors(torch.load(path, map_location="cpu", weights_only=True))
    ]
    found = tables(files)
    history = found.pop("history")
    arrays = [
        torch.from_numpy(np.load(path))
        for path in sorted(files.glob("*.npy"))
        if "_geno-" not in path.name and not path.name.startswith("time")
    ]
    rows = {
        f"state of {len(tensors)} tensors": _digest_tensors(tensors),
        f"model of {len(models)} tensors": _digest_tensors(models),
        "genotype": _digest(json.dumps(_genotype(files))),
        "history": _digest(json.dumps(history)),
        "other tables": _digest(json.dumps(found, sort_keys=True)),
        f"{len(arrays)} arrays": _digest_tensors(arrays),
    }
    return [f"{name:15} {what:22} {digest}" for what, digest in rows.items()]


def _model(files):
    """What the model file tells of its epoch, and the norm of its weights; None without one."""
    for path in files.glob("*.pth"):
        model = torch.load(path, weights_only=True)
        squares = [tensor.double().pow(2).sum().item() for tensor in nested_tensors(model)]
        return {"trained": model["trained"], "norm": sum(squares) ** 0.5}
    return None


def nested_tensors(state):
    """All tensors of a nested state."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from nested_tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from nested_tensors(value)


def _digest_tensors(tensors):
    """Of type, shape and bytes of each; neither names nor order count, which may change."""
    each = sorted(
        _digest(f"{tensor.dtype} {tuple(tensor.shape)} {tensor.numpy().tobytes().hex()}")
        for tensor in tensors
    )
    return _digest(" ".join(each))


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _alphas(files):
    """Per epoch what is left of a cell, and two sums of its alphas, each edge's mean left out."""
    for cell in ("normal", "reduce", "rnn"):
        path = files / f"alphas_{cell}-{SAVE}.npy"
        if path.exists():
            yield cell, [_alpha_row(weights) for weights in np.load(path)]


def _alpha_row(weights):
    """One epoch of softmax weights (edges, primitives); its logarithms are alphas up to a mean."""
    active = weights > 0
    logs = np.log(weights, out=np.zeros_like(weights), where=active)
    means = logs.sum(1, keepdims=True) / np.maximum(1, active.sum(1, keepdims=True))
    alphas = (logs - means) * active
    edges, primitives = weights.shape
    ramp = np.arange(1, edges * primitives + 1).reshape(edges, primitives)
    return {
        "edges": int(active.any(axis=1).sum()),
        "operations": int(active.sum()),
        "norm": float(np.linalg.norm(alphas)),
        "ramp": float((alphas * ramp).sum()),
    }


def _genotype(files):
    """The genotype that the script wrote; None if it searches none."""
    paths = list(files.glob("*_geno-*.npy"))
    return json.loads(str(np.load(paths[0]))) if paths else None


def _number(text):
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text or None


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(RUNS), help=f"of {', '.join(RUNS)}")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="replace the expected trajectories")
    what.add_argument("--digests", action="store_true", help="print SHA-256 sums of the results")
    args = parser.parse_args()
    for name in args.names:
        with tempfile.TemporaryDirectory() as folder:
            if args.digests:
                print(*digests(name, Path(folder)), sep="\n", flush=True)
            else:
                path = EXPECTED / f"{name}.json"
                path.write_text(as_text(record(name, Path(folder))))
                print(path)


if __name__ == "__main__":
    main()
