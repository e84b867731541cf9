import os

import pytest

from generalNAS_tools.workers.options import ClusterOptions, ElsewhereOptions, WorkerOptions


def options(cluster="none", gpus=0, **workers):
    return ElsewhereOptions(
        workers=WorkerOptions(**workers), cluster=ClusterOptions(cluster=cluster, gpus=gpus)
    )


@pytest.mark.parametrize(
    ("given", "device", "kind"),
    [
        ({}, "auto", None),
        ({"workers": 1}, "cpu", None),
        ({"workers": 2}, "cpu", "cpu"),
        ({"devices": "cpu"}, "cuda", "cpu"),
        ({"devices": "cpu, cpu"}, "cpu", "cpu"),
        ({"cluster": "slurm"}, "auto", "cpu"),
        ({"cluster": "slurm", "gpus": 1}, "auto", "cuda"),
        ({"cluster": "slurm"}, "cuda:1", "cuda"),
        ({"cluster": "slurm", "gpus": 0, "workers": 2}, "auto", "cpu"),
    ],
)
def test_the_kind_of_device_on_which_others_train(given, device, kind):
    assert options(**given).kind_elsewhere(device) == kind


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({"workers": 2}, 3),
        ({"devices": "cuda:0,cuda:1,cuda:2"}, 2),
        ({"workers": 100}, 1),
        ({"workers": 2, "threads": 5}, 5),
        ({"cluster": "slurm", "workers": 2}, 4),
    ],
)
def test_workers_share_the_cores(given, threads, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert options(**given).threads == threads
