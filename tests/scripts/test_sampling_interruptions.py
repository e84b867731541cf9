"""Random search, Hyperband and OSP-NAS, killed or stopped anywhere, end as if undisturbed."""

import random
import signal
import time

import pytest

import generalNAS_tools.runs.run_directory
import generalNAS_tools.training.train_loop
import randomSearch_and_Hyperband_Tools.candidates
from randomSearch_and_Hyperband_Tools.candidates import CandidateStore
from tests.scripts.runs import log_of, run_here, start, wait_for
from tests.scripts.sampling_cases import FLAGS, HYPERBAND, OSP, RANDOM, everything

SCRIPTS = [RANDOM, HYPERBAND, OSP]
EVENTS = [
    (generalNAS_tools.training.train_loop, "weight_step"),
    (generalNAS_tools.training.train_loop, "bce_loss"),
    (generalNAS_tools.runs.run_directory, "save_weights"),
    (randomSearch_and_Hyperband_Tools.candidates, "save_weights"),
    (CandidateStore, "dismiss"),
]


def results_of(scripts, toy, read):
    """What `read` finds of a run of each script."""
    results = {}
    for script in scripts:
        folder = toy.folder / f"{read.__name__} {script}"
        assert run_here(script, toy.sampled(folder, **FLAGS[script])).code == 0
        results[script] = read(folder)
    return results


class Killed(BaseException):
    """What kill -9 leaves: nothing after it is done."""


@pytest.fixture(scope="module")
def undisturbed(toy):
    """Results of runs that nobody disturbed."""
    return results_of(SCRIPTS, toy, everything)


def at_event(patch, number, act):
    """Calls `act` before or after the number-th call of any function of EVENTS."""
    count = iter(range(1, 10**6))

    def wrap(original):
        def wrapped(*args, **options):
            if next(count) == number:
                act()
            result = original(*args, **options)
            if next(count) == number:
                act()
            return result

        return wrapped

    for place, name in EVENTS:
        patch.setattr(place, name, wrap(getattr(place, name)))


def kill():
    raise Killed


def killed_again_and_again(moments, least, most, run):
    """Lets `run` start until it ends, killed each time after more events; gives the kills."""
    kills = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            at_event(patch, moments.randint(least, most) + 10 * kills, kill)
            try:
                run()
                return kills
            except Killed:
                kills += 1


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_event(script, seed, toy, undisturbed, tmp_path):
    """One run is killed again and again, a random number of events after each start.

    The number rises, since OSP-NAS has long stretches without a checkpoint.
    """
    line = toy.sampled(tmp_path, **FLAGS[script])

    def run():
        assert run_here(script, line).code == 0

    assert killed_again_and_again(random.Random(f"{script} {seed}"), 12, 36, run) >= 2
    assert everything(tmp_path) == undisturbed[script]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_at_any_event(script, number, toy, undisturbed, tmp_path):
    moments, stops = random.Random(f"{script} {number}"), 0
    line = toy.sampled(tmp_path, **FLAGS[script])
    while True:
        with pytest.MonkeyPatch.context() as patch:
            wait = moments.randint(1, 40) + 10 * stops
            at_event(patch, wait, lambda: signal.raise_signal(number))
            code = run_here(script, line).code
        if code == 0:
            break
        assert code == 128 + number
        stops += 1
    assert stops >= 2
    assert everything(tmp_path) == undisturbed[script]


@pytest.mark.parametrize("script", SCRIPTS)
def test_killed_from_outside(script, toy, undisturbed, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[script])
    moments = random.Random(script)
    for epoch in (2, 4):
        process = start(script, line)
        wait_for(lambda e=epoch: f"epoch {e}  step 1/2" in log_of(tmp_path), "an epoch")
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    process = start(script, line)
    process.join()
    assert process.exitcode == 0
    assert everything(tmp_path) == undisturbed[script]


def test_a_repeated_command_changes_nothing(toy, undisturbed, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[HYPERBAND])
    for _ in range(2):
        assert run_here(HYPERBAND, line).code == 0
        assert everything(tmp_path) == undisturbed[HYPERBAND]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_seed_decides(script, toy, undisturbed, tmp_path):
    line = toy.sampled(tmp_path, **FLAGS[script])
    assert run_here(script, [*line, "--seed=1"]).code == 0
    other = everything(tmp_path)
    assert other.keys() == undisturbed[script].keys()
    geno = next(name for name in other if "_geno-" in name)
    assert other[geno] != undisturbed[script][geno]
    assert run_here(script, [*line, "--restart"]).code == 0
    assert everything(tmp_path) == undisturbed[script]
