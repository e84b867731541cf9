"""Holds every script to its contract with bad input: `python -m tests.robustness.bad_inputs`.

Thousands of cases in this process, some minutes; prints every breach, and ends with 1 if there is
any. The fast part is among the tests (test_bad_inputs.py).
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.robustness.bad_files import checkpoint_cases, closed_cases, file_cases
from tests.robustness.bad_flags import edge_cases, flag_cases
from tests.robustness.contract import breach
from tests.robustness.scene import Scene
from tests.scripts.in_process import ROOT

NOBODY = 65534


def breaches(cases, scene, hold=breach):
    """Number of cases, and every breach with its case."""
    count, found = 0, []
    for case in cases:
        count += 1
        reason = hold(case, scene.folder)
        if reason:
            found.append(f"{case}\n    {reason}")
        shutil.rmtree(scene.out, ignore_errors=True)
    return count, found


def breach_as_nobody(case, folder):
    """`breach` in a process of a user who owns nothing; root may do everything."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writer, (breach(case, folder) or "").encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        reason = file.read()
    return reason or ("it died" if os.waitpid(child, 0)[1] else None)


def main():
    """Runs all parts, or those named."""
    folder = Path(tempfile.mkdtemp(prefix="bad_inputs"))
    scene = Scene(folder)
    as_nobody = breach_as_nobody if os.geteuid() == 0 else breach
    parts = {
        "flags": (flag_cases(scene, every_script=True), breach),
        "edges": (edge_cases(scene), breach),
        "files": (file_cases(scene, flips=400), breach),
        "checkpoints": (checkpoint_cases(scene, flips=60), breach),
        "closed": (closed_cases(scene), as_nobody),
    }
    sums = Counter()
    for name in sys.argv[1:] or parts:
        if name == "closed":
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o777 if path.is_dir() else 0o644)
        cases, hold = parts[name]
        count, found = breaches(cases, scene, hold)
        print(*found, f"{name}: {len(found)} of {count} cases break the contract", sep="\n")
        sums.update(cases=count, breaches=len(found))
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)
    print(f"{sums['breaches']} of {sums['cases']} in {ROOT.name}")
    sys.exit(bool(sums["breaches"]))


if __name__ == "__main__":
    main()
