"""Products by oneDNN, or by torch's own choice, whatever the processor."""

import contextlib
from unittest import mock

from generalNAS_tools.networks import matrix_product


@contextlib.contextmanager
def by_onednn(on=True):
    """Within the block oneDNN multiplies all float32 matrices of a CPU, or none.

    Yields:
        Who is asked before each.
    """
    with (
        mock.patch.object(matrix_product, "_by_onednn", return_value=on) as asked,
        mock.patch.object(matrix_product, "_LEAST", 0),
    ):
        yield asked
