import signal

import pytest

from generalNAS_tools.runs.signals import STOPPING, Stopped, on_stop, stop_at_once
from tests.scripts.in_process import SIGNALS, signals_kept


def test_tests_give_all_of_them_back():
    assert set(SIGNALS) == set(STOPPING)


@pytest.mark.parametrize("number", STOPPING)
def test_only_the_first_signal_counts(number):
    others = [other for other in STOPPING if other != signal.SIGINT]
    seen = []
    with signals_kept():
        on_stop(seen.append)
        for other in (number, *others, *others):
            signal.raise_signal(other)
        assert seen == [number]
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_DFL) == (number == signal.SIGINT)


def test_a_second_interrupt_leaves_at_once_whatever_came_first():
    with signals_kept():
        on_stop(lambda _: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_what_was_ignored_stays_ignored():
    seen = []
    with signals_kept():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        on_stop(seen.append)
        signal.raise_signal(signal.SIGHUP)
    assert seen == []


def test_stopping_is_no_error_that_somebody_could_catch():
    with pytest.raises(Stopped, match="stopped by SIGUSR1") as stop:
        stop_at_once(signal.SIGUSR1)
    assert not isinstance(stop.value, Exception)
