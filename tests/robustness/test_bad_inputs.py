"""The fast part of the harness: every flag in one script, every kind of file, some damages."""

import pytest

from tests.robustness.bad_files import checkpoint_cases, file_cases
from tests.robustness.bad_flags import flag_cases
from tests.robustness.bad_inputs import breaches
from tests.robustness.contract import Case, breach
from tests.robustness.scene import Scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("scene"))


def test_bad_flags(scene):
    count, found = breaches(flag_cases(scene, every_script=False), scene)
    assert not found, "\n".join(found)
    assert count > 1000


def test_damaged_files(scene):
    count, found = breaches(file_cases(scene, flips=12), scene)
    assert not found, "\n".join(found)
    assert count > 200


def test_damaged_checkpoints(scene):
    _, found = breaches(checkpoint_cases(scene, flips=4), scene)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('a bug')", "Traceback"),
        ("sys.exit(1)", "exit code 1"),
        ("sys.exit(2)", "0 lines"),
        ("say('one'); say('x: two'); sys.exit(2)", "2 lines"),
        ("say('something is wrong'); sys.exit(2)", "names none"),
        ("open('new.part', 'w').close(); say('x'); sys.exit(2)", "left new.part"),
        ("open('old', 'a').write('x'); say('x'); sys.exit(2)", "changed old"),
        ("os.remove('old'); say('x'); sys.exit(2)", "removed old"),
    ],
)
def test_a_breach_is_seen(source, reason, tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(f"import os, sys\nsay = lambda x: print(x, file=sys.stderr)\n{source}\n")
    (tmp_path / "old").write_text("")
    monkeypatch.chdir(tmp_path)
    assert reason in breach(Case(str(script), [], ("x",)), tmp_path)
