"""Damaged files of every kind that a script reads, in the place of a good one."""

import os
import shutil

import numpy as np

from tests.robustness.contract import Case
from tests.robustness.scene import SEQ_SIZE
from tests.scripts.runs import FINAL, TEST, command_line

BONAS = "train_genomicBONAS.py"
BASELINE = "baseline_models/train_baseline.py"
SMALL = {"num_steps": 1, "batch_size": 8, "epochs": 1, "init_channels": 2, "device": "cpu"}
SMALL["train_supernet_epochs"] = 0
READERS = {
    "genotype": (FINAL, "genotype_file", {"train_directory": None}),
    "genotype of 2021": (FINAL, "genotype_file", {"train_directory": None}),
    "model": (TEST, "model", {"test_directory": None}),
    "archive": (BONAS, "archive", {"train_directory": None}),
    "v5": (FINAL, "train_directory", {"valid_directory": None}),
    "v5, compressed": (FINAL, "train_directory", {"valid_directory": None}),
    "v7.3": (FINAL, "train_directory", {"valid_directory": None}),
    "v7.3, compressed": (FINAL, "train_directory", {"valid_directory": None}),
}
"""Who reads a kind of file by which flag, and what is missing, so that no run ever begins."""


def file_cases(scene, *, flips):
    """A case for every damage of every kind of file; the file is there while its case is out.

    Args:
        scene: the good files.
        flips: damaged bits a file.
    """
    for kind, (script, flag, more) in READERS.items():
        path = scene.folder / f"damaged{scene.good[kind].suffix}"
        missing = {name: scene.nowhere if value is None else value for name, value in more.items()}
        flags = {**scene.files(), **SMALL, "layers": 1, **missing, flag: path}
        flags = {name: value for name, value in flags.items() if _reads(script, name)}
        case = Case(script, command_line(flags), (path, scene.nowhere))
        whole = scene.good[kind].read_bytes()
        for content in damaged(whole, flips):
            # A torn last line of an archive is dropped with a warning: it is what a kill leaves.
            if kind != "archive" or content[-1:] in (whole[-1:], b""):
                path.write_bytes(content)
                yield from _cleaned(case, scene, path)
        for other in (*scene.good.values(), scene.file):
            if other != scene.good[kind] and not _alike(kind, other.name):
                shutil.copy(other, path)
                yield from _cleaned(case._replace(names=(path,)), scene, path)
        for make in (os.mkdir, os.mkfifo, _endless_link, _dangling_link):
            make(path)
            yield from _cleaned(case._replace(names=(path,)), scene, path)


def checkpoint_cases(scene, *, flips):
    """A case for every damage of a run's checkpoint; it must stay as it is."""
    path = scene.folder / "again" / "checkpoint-a.pt"
    whole = scene.good["checkpoint"].read_bytes()
    flags = {**scene.files(), **SMALL, "num_steps": 1, "layers": 1, "save": "a"}
    flags |= {"seq_size": SEQ_SIZE, "report_freq": 1, "save_dir": path.parent}
    line = command_line({name: value for name, value in flags.items() if _reads(FINAL, name)})
    for content in damaged(whole, flips):
        shutil.copytree(scene.run, path.parent)
        path.write_bytes(content)
        yield Case(FINAL, line, (path,), frozenset({0, 2}))
        shutil.rmtree(path.parent)


def damaged(whole, flips):
    """A file cut off at several places, empty, or with one bit changed (half in its first 4 KB)."""
    for end in {0, 1, 8, len(whole) // 4, len(whole) // 2, len(whole) - 1}:
        yield whole[:end]
    yield bytes(len(whole))
    rng = np.random.default_rng(0)
    for number in range(flips):
        place = int(rng.integers(len(whole) if number % 2 else min(len(whole), 4096)))
        bit = 1 << int(rng.integers(8))
        yield whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]


def closed_cases(scene):
    """A case for every path that may not be entered, read or written; for who isn't root."""
    closed = scene.folder / "closed"
    closed.mkdir()
    inside = {name: closed / name for name in ("save_dir", "cache_dir", "model_path", "archive")}
    inside |= {f"{split}_directory": closed / "a.mat" for split in ("train", "valid", "test")}
    inside |= {"genotype_file": closed / "a.npy", "model": closed / "a.pth"}
    unread = scene.folder / "unread"
    shutil.copy(scene.good["model"], unread)
    unread.chmod(0)
    closed.chmod(0)
    base = {**scene.files(), **SMALL, "layers": 1}
    places = [*inside.items(), *((name, unread) for name in inside if name not in {"cache_dir"})]
    for script in (FINAL, TEST, BONAS, BASELINE):
        for name, path in places:
            flags = base | {name: path}
            if script == BASELINE:
                flags["model"] = "DanQ"
            if _reads(script, name) and (script, name) != (BASELINE, "model"):
                line = command_line({n: value for n, value in flags.items() if _reads(script, n)})
                yield Case(script, line, (path, f"--{name}"))


def _reads(script, name):
    own = {"genotype_file": {FINAL}, "model": {TEST, BASELINE}}
    own |= {"archive": {BONAS}, "train_supernet_epochs": {BONAS}}
    own |= {"directory": set(), "fasta": set()}
    own["model_path"] = {FINAL, BASELINE}
    searched = {FINAL, TEST, BONAS}
    own |= {f"{split}_directory": {FINAL, BONAS, BASELINE} for split in ("train", "valid")}
    own["test_directory"] = {TEST, BASELINE}
    own |= {"init_channels": searched, "layers": searched}
    return script in own.get(name, {script})


def _alike(kind, name):
    """Whether a file is of the kind too: both genotypes, the arrays of each version."""
    return kind.startswith(("genotype", "v")) and name.endswith(
        ".npy" if kind.startswith("genotype") else ".mat"
    )


def _cleaned(case, scene, path):
    yield case
    for left in [path, *scene.folder.glob("damaged*"), *scene.folder.glob(".damaged*")]:
        if left.is_dir() and not left.is_symlink():
            left.rmdir()
        else:
            left.unlink(missing_ok=True)


def _endless_link(path):
    path.symlink_to(path)


def _dangling_link(path):
    path.symlink_to(path.with_name("not there"))
