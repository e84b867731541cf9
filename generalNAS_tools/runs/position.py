"""Where a run stands: its stage, round or candidate, its epoch, and what belongs to them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from generalNAS_tools.files import ranks

Item = TypeVar("Item")


class Position:
    """The nested loops of a search, which an interrupted run enters where it left them.

    Attributes:
        place: number by level, outermost first, and what is remembered; plain values, as a
            checkpoint holds them.
    """

    def __init__(self) -> None:
        self.place: dict[str, Any] = {}

    def through(self, level: str, items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
        """Goes through stages, rounds or candidates; an interrupted run goes on where it was.

        Levels nest: what is inside of one (further levels, epochs, what is remembered) starts
        anew with each of its items.

        Args:
            level: its name in the checkpoint.
            items: the same ones when the run is continued.

        Yields:
            Number (from 0) and item.
        """
        for number in range(self.place.setdefault(level, 0), len(items)):
            yield number, items[number]
            names = list(self.place)
            outer = {name: self.place[name] for name in names[: names.index(level)]}
            self.place = {**outer, level: number + 1}

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """A value that belongs to the current item of `through` and is saved with it.

        Args:
            name: of the value in the checkpoint.
            make: called when the item begins; plain lists, numbers and texts.

        Returns:
            What `make` gave, also when the run is continued.
        """
        if name not in self.place:
            self.place[name] = ranks.value_of_first(make())
        return self.place[name]

    def epochs(self, total: int, first: int = 0) -> Iterator[int]:
        """The epochs of the current stage that are still to do.

        Args:
            total: the number after which it ends.
            first: number of its first one.
        """
        yield from range(self.place.setdefault("epoch", first), total)
