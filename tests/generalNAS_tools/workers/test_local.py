import signal

import pytest

from generalNAS_tools.runs.signals import STOPPING, Stopped
from generalNAS_tools.workers.local import _stopped_by_signals
from generalNAS_tools.workers.processes import Processes
from tests.scripts.in_process import signals_kept


def interrupt(processes, number):
    with _stopped_by_signals(processes):
        signal.raise_signal(number)
        assert processes.stopping
        signal.raise_signal(signal.SIGTERM)
        processes.saved = True


@pytest.mark.parametrize("number", STOPPING)
def test_every_signal_lets_the_runs_save_first(number):
    processes = Processes()
    with signals_kept(), pytest.raises(Stopped) as stop:
        interrupt(processes, number)
    assert (stop.value.number, processes.saved) == (number, True)


def test_later_signals_stop_at_once():
    with signals_kept():
        with _stopped_by_signals(Processes()):
            pass
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGHUP)
