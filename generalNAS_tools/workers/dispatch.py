"""Who does tasks: processes of this machine, or a cluster."""

from collections.abc import Sequence
from pathlib import Path

from generalNAS_tools.workers.cluster import run_on_slurm
from generalNAS_tools.workers.local import run_here
from generalNAS_tools.workers.options import ElsewhereOptions
from generalNAS_tools.workers.tasks import Task


def do(tasks: Sequence[Task], folder: Path, options: ElsewhereOptions, *, threads: int) -> None:
    """Does tasks where the flags say; one that fails leaves the others alone.

    Args:
        tasks: each in its own folder.
        folder: of what they belong to; a cluster's nodes see it too.
        options: who does them.
        threads: CPUs of a job on a cluster.

    Raises:
        Stopped: by a signal, after the processes of this machine have saved.
        ValueError: there is no such cluster, or it refuses them.
    """
    workers = options.workers
    if not tasks:
        return
    if not options.on_cluster:
        run_here(tasks, devices=workers.device_list, workers=workers.at_a_time)
        return
    at_a_time = workers.workers or len(tasks)
    run_on_slurm(tasks, folder, options=options.cluster, workers=at_a_time, threads=threads)
