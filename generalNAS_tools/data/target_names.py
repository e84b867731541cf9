"""Names of a bundle's targets."""

from collections.abc import Sequence
from pathlib import Path

from generalNAS_tools.files.atomic_files import reading

FILE = "targets.txt"


def target_names(data: Path, num_targets: int) -> dict[str, list[str]]:
    """What a model file tells of its targets: `targets`, their names, or nothing.

    The names are the lines of targets.txt beside a split's file, where there is one.

    Raises:
        ValueError: it can't be read or hasn't one line per target.
    """
    path = data.with_name(FILE)
    if not path.is_file():
        return {}
    with reading(path, "a text of target names"):
        names = [" ".join(line.split()) for line in path.read_text("utf-8").splitlines()]
    if len(names) != num_targets:
        raise ValueError(
            f"{path}: {len(names)} names; {data} has {num_targets} targets, a line each"
        )
    return {"targets": names}


def check_names(
    found: Sequence[str] | None,
    expected: Sequence[str] | None,
    where: str | Path,
    other: str | Path,
) -> None:
    """Checks that two files have the same targets in the same order, if both have names.

    Raises:
        ValueError: naming the first that differ, and both files.
    """
    for number, (name, wanted) in enumerate(zip(found or (), expected or (), strict=False)):
        if name != wanted:
            raise ValueError(
                f"{where}: target {number} is {name}, but {wanted} in {other}; expected the same "
                "targets in the same order"
            )
