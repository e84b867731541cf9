"""Counts what a step launches: on a GPU, small steps take as long as their launches."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_ALLOCATING = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}
_FREE = {*_ALLOCATING, "detach", "alias", "lift_fresh", "_unsafe_view", "set_"}


class Launches(TorchDispatchMode):
    """Counts the operations that launch a kernel: all but views and allocations.

    Attributes:
        counts: launches by operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All launches so far."""
        return self.counts.total()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Counts an operation, then runs it."""
        name = func.overloadpacket.__name__
        if func.namespace == "aten" and name not in _FREE and not func.is_view:
            self.counts[name] += 1
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Runs an operation."""
        return func(*args, **kwargs)


def launches_of(work: Callable[[], Any]) -> int:
    """Launches of some work."""
    with Launches() as launches:
        work()
    return launches.total
