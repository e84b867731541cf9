"""Compiled time steps switched on for a while."""

import contextlib

from generalNAS_tools.networks.rhn import compiled


@contextlib.contextmanager
def compiling(on=True):
    """Within the block time steps are compiled, or not; none is remembered."""
    compiled._compiled.cache_clear()
    compiled.use(on)
    try:
        yield
        assert compiled.in_use() == on
    finally:
        compiled.use(False)
        compiled._compiled.cache_clear()
