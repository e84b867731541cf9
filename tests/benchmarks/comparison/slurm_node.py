"""A SLURM of one node, from Debian's packages, without cgroups, accounting or systemd."""

import contextlib
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "runuser", "squeue", "sbatch")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """What keeps a node from being started here; empty if nothing does."""
    if os.geteuid() != 0:
        return "not root"
    absent = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    return f"no {', '.join(absent)}" if absent else ""


def tell(*line, check=True):
    """What a command of SLURM answers."""
    return subprocess.run(
        [str(word) for word in line],
        env=os.environ | {"PATH": _PATH}, capture_output=True, text=True, check=check,
    ).stdout  # fmt: skip


@contextlib.contextmanager
def one_node(folder):
    """Runs a node within the block; gives the variables that its users need."""
    host = platform.node().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    configuration.write_text(_CONFIGURATION.format(host=host, folder=folder))
    os.environ["SLURM_CONF"] = str(configuration)
    munge = Path("/run/munge")
    munge.mkdir(exist_ok=True)
    shutil.chown(munge, "munge", "munge")
    ours = not (munge / "munge.socket.2").exists()
    if ours:
        tell("runuser", "-u", "munge", "--", "munged")
    tell("slurmctld")
    time.sleep(2)
    tell("slurmd")
    try:
        end = time.monotonic() + 60
        while "idle" not in tell("sinfo", "--noheader", "--format=%T", check=False):
            assert time.monotonic() < end, (folder / "slurmctld.log").read_text()
            time.sleep(0.5)
        yield {"SLURM_CONF": str(configuration), "PATH": _PATH}
    finally:
        tell("scancel", "--user=root", check=False)
        end = time.monotonic() + 30  # a step that outlives its node would drain the next one
        while tell("squeue", "--noheader", check=False) and time.monotonic() < end:
            time.sleep(0.5)
        pids = [folder / "slurmd.pid", folder / "slurmctld.pid"]
        for path in [*pids, *([munge / "munged.pid"] if ours else [])]:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), 15)
                time.sleep(1)
        del os.environ["SLURM_CONF"]
