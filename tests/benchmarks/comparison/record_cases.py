"""Made-up records of a comparison: what all sorts of runs leave behind."""

import numpy as np

from benchmarks.comparison.records import RunRecord
from generalNAS_tools.files.genotype_files import write_genotype
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

FACTS = {
    "code version": "0123abcd",
    "torch": "2.13.0",
    "kind of device": "NVIDIA H100",
    "--budget": 3600.0,
    "--search_flags": "",
    "data of --train_directory": {"sequences": 4000, "checksum": "12ab"},
    "threads": 1,
    "arms": {"darts": {"kind": "search", "flags": {"epochs": 12, "frozen_epochs": 3}}},
}
MEANS = {
    "darts": 0.322,
    "pdarts": 0.331,
    "bonas": 0.336,
    "random": 0.327,
    "DanQ": 0.318,
    "random_average": 0.321,
}
"""Mean test AUPRC that the records are drawn around."""
KINDS = {"DanQ": "baseline", **{a: a for a in ("random_average", "one_architecture")}}


def done(arm, seed, score, *, folder=None, targets=(), **more):
    """The record of a finished run with all its fields, drawn around a score."""
    rng = np.random.default_rng([seed, *map(ord, arm)])
    kind = KINDS.get(arm, "search")
    fields = {
        "status": "done",
        "search_seconds": rng.normal(3600, 90) if kind == "search" else None,
        "planned_seconds": 3600.0 if kind == "search" else None,
        "final_seconds": rng.normal(1800, 40),
        "parameters": int(rng.integers(300_000, 3_000_000)),
        "multiply_adds": int(rng.integers(10**7, 10**8)),
        "inference_seconds": rng.uniform(1e-4, 3e-4),
        "valid_auprc": score + 0.01,
        "valid_auroc": 0.9 + score / 20,
        "test_loss": 0.05,
        "test_auprc": score,
        "test_auroc": 0.9 + score / 20,
        "test_auprc_median": score - 0.02,
        "test_auroc_median": 0.91 + score / 20,
        "targets": targets,
        "anytime": curve(rng, score) if kind == "search" else (),
    }
    if folder and kind != "baseline":
        fields["genotype"] = folder / "runs" / arm / f"seed-{seed}" / "genotype.npy"
        write_genotype(fields["genotype"], EXAMPLE)
    return RunRecord(arm=arm, kind=kind, seed=seed, **(fields | more))


def curve(rng, score):
    """Best scores so far, rising towards 90 % of a score."""
    times = np.cumsum(rng.uniform(100, 500, 12))
    scores = 0.9 * score * (1 - np.exp(-times / 900))
    return tuple(zip(times.tolist(), scores.tolist(), strict=True))


def target_rows(rng, score):
    """Targets of three categories, one without positives."""
    names = ["DNase", "TF", "TF", "histone", "histone", "TF"]
    rows = [
        {
            "target": number,
            "category": name,
            "positives": 10,
            "auroc": 0.9,
            "auprc": float(rng.normal(score, 0.03)),
        }
        for number, name in enumerate(names)
    ]
    rows[-1] |= {"positives": 0, "auroc": None, "auprc": None}
    return tuple(rows)


def comparison(seeds=5, *, folder=None, drawn=("darts",), arms=tuple(MEANS), unfinished=True):
    """Records of a whole comparison, some of its runs failed, diverged, running and missing.

    Arms that are `drawn` have genotypes in `folder`.
    """
    records = []
    for arm in arms:
        for seed in range(seeds if arm != "random_average" else 2 * seeds):
            rng = np.random.default_rng([7, seed, *map(ord, arm)])
            score = float(rng.normal(MEANS[arm], 0.004))
            targets = target_rows(rng, score)
            place = folder if arm in drawn else None
            records.append(done(arm, seed, score, folder=place, targets=targets))
    if unfinished:
        reason = "train_genomicOSP_NAS.py left with exit code 2: --epochs 0: expected at least 1"
        records += [
            RunRecord(arm="osp", kind="search", seed=0, status="failed", reason=reason),
            RunRecord(arm="osp", kind="search", seed=1, status="diverged", reason="loss is NaN"),
            RunRecord(arm="osp", kind="search", seed=2, status="missing"),
            RunRecord(arm="DeepSEA", kind="baseline", seed=0, status="running"),
            RunRecord(arm="DeepSEA", kind="baseline", seed=1, status="done", test_auprc=0.29),
        ]
    return records
