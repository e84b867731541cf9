"""The archive that a run starts with or goes on from."""

import logging
from collections.abc import Sequence
from pathlib import Path

from generalNAS_tools.files import ranks
from generalNAS_tools.runs.run_directory import RunDirectory
from opendomain_utils.archive import Archive, ScoredArchitecture

log = logging.getLogger(__name__)


def read_inherited(path: str | None, criterion: str) -> list[ScoredArchitecture]:
    """The scores of an earlier run that --archive names.

    Raises:
        ValueError: the file is missing or broken, or its scores are by another criterion.
    """
    if path is None:
        return []
    if not Path(path).exists():
        raise ValueError(f"--archive {path}: no such file; expected an archive (.jsonl)")
    entries = Archive(path).entries
    for number, entry in enumerate(entries, 1):
        if entry.criterion != criterion:
            raise ValueError(
                f"--archive {path}, line {number}: scored by {entry.criterion}; expected "
                f"--criterion {criterion}"
            )
    return entries


@ranks.first_alone()
def start_archive(
    run: RunDirectory, inherited: Sequence[ScoredArchitecture], *, initial: int, restart: bool
) -> Archive:
    """The run's own table, archive-<save>.jsonl; a fresh run copies the inherited scores to it.

    Args:
        run: whose table it is.
        inherited: scores of an earlier run.
        initial: architectures of the initial design.
        restart: throw away the table that an interrupted run left.

    Raises:
        ValueError: the table is broken, or empty although there is no initial design.
    """
    path = run.files.path("archive", "jsonl")
    if restart and ranks.number() == 0:
        path.unlink(missing_ok=True)
    archive = Archive(path)
    for entry in [] if run.continues else inherited:
        if entry.genotype not in archive:
            archive.append(entry)
    if not initial and not archive.entries:
        raise ValueError("--init_num 0: no scores to start with; expected an --archive that has")
    log.info("the archive holds %d scored architectures", len(archive))
    return archive
