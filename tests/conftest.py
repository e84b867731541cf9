"""One thread for every test: the workers share the machine's cores, and sums are repeatable.

Signals have their usual effect, also where the tests run in the background, which ignores some.
"""

import logging
import signal

import pytest
import torch

from tests.scripts.in_process import globals_kept

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Puts the files that take minutes first, or one of the two workers ends long before."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def no_power_is_lost():
    """Nothing waits for the disk, which only a machine that loses its power would miss."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def nothing_global_changes():
    """Puts back torch's modes and the log, whatever a test runs in this process."""
    with globals_kept():
        yield
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in root.handlers[:]:
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
            handler.close()
