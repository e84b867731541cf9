"""Names of a bundle's targets."""

from generalNAS_tools.data.deepsea_data import PackedSplit
from generalNAS_tools.files.atomic_files import reading

FILE = "targets.txt"


def target_names(split: PackedSplit) -> dict[str, list[str]]:
    """What a model file tells of its targets: `targets`, their names, or nothing.

    The names are the lines of targets.txt beside the split's file, where there is one.

    Raises:
        ValueError: it can't be read or hasn't one line per target.
    """
    path = split.path.with_name(FILE)
    if not path.is_file():
        return {}
    with reading(path, "a text of target names"):
        names = [" ".join(line.split()) for line in path.read_text("utf-8").splitlines()]
    if len(names) != split.num_targets:
        raise ValueError(
            f"{path}: {len(names)} names; {split.path} has {split.num_targets} targets, a line each"
        )
    return {"targets": names}
