"""Signals that ask a script to stop, and what it leaves with."""

import signal
from collections.abc import Callable
from types import FrameType

from generalNAS_tools.files import ranks

STOPPING = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""Ctrl-C, a closed terminal, and what clusters send before they kill."""


class Stopped(BaseException):
    """The run was asked to stop and has saved its state, or as `then` says.

    No Exception, like KeyboardInterrupt: whoever catches those doesn't mean this one.
    """

    def __init__(self, number: int, then: str = "the same command goes on from here") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; {then}")
        self.number = number


def on_stop(act: Callable[[int], None]) -> None:
    """Calls `act` with the number of the first signal that asks to stop, and with no other.

    Clusters repeat theirs while a run saves. Only a second Ctrl-C means at once, and not where
    torchrun passes the first one on. A signal that the process was started to ignore (nohup) stays
    ignored.
    """
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and ranks.count() == 1:
            signal.signal(number, signal.SIG_DFL)
        asked.append(number)
        if len(asked) == 1:
            act(number)

    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ask)


def stop_at_once(number: int) -> None:
    """For `on_stop`, while nothing has to be saved.

    Raises:
        Stopped: always.
    """
    raise Stopped(number, "the same command starts over, or goes on from what it saved before")
