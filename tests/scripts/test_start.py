"""What a script does before it works: it imports little, and needs nothing of a notebook."""

import os
import subprocess
import sys

import pytest

from tests.scripts.in_process import ROOT, SCRIPTS

SLOW = {"matplotlib", "networkx", "scipy.io", "scipy.special", "scipy.stats", "sklearn"}
START_ALL = "import runpy, sys\nfor script in sys.argv[1:]: runpy.run_path(script)\n"
COMPARISONS = [
    f"benchmarks/{name}.py"
    for name in ("compare_searches", "supernet_evaluation", "supernet_ranking")
]
BACKEND = "a backend that is not here"


def python(*words):
    """Output of a new interpreter, started as a notebook of another environment starts it."""
    environment = os.environ | {"MPLBACKEND": BACKEND}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_script_imports_what_only_some_work_needs():
    code = START_ALL + "print(*sys.modules)"
    assert SLOW & set(python("-c", code, *SCRIPTS, *COMPARISONS).split()) == set()


@pytest.mark.parametrize(
    "kind", ["draw_genotype(EXAMPLE, sys.argv[1])", "draw_curves([{}], sys.argv[1])"]
)
def test_pictures_need_no_backend(kind, tmp_path):
    code = (
        "import sys\n"
        "from generalNAS_tools.pictures.pictures import draw_curves, draw_genotype\n"
        "from generalNAS_tools.runs.command import run_command\n"
        "from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE\n"
        f"run_command(lambda: {kind})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    python("-c", code, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
