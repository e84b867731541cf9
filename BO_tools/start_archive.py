"""The archive that a run starts with or goes on from."""

import logging
from collections.abc import Sequence

from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import check_file
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype
from opendomain_utils.archive import Archive, ScoredArchitecture, line_of

log = logging.getLogger(__name__)


def read_inherited(path: str | None, criterion: str) -> list[ScoredArchitecture]:
    """The scores of an earlier run that --archive names.

    Raises:
        ValueError: the file is missing or broken, or its scores are by another criterion.
    """
    if path is None:
        return []
    check_file(path, "an archive (.jsonl) for --archive")
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
        ValueError: the table is broken or not this run's, or there is nothing to start with.
    """
    path = run.files.path("archive", "jsonl")
    if restart and ranks.number() == 0:
        path.unlink(missing_ok=True)
    archive = Archive(path)
    if not run.continues:
        archive.restore([line_of(entry) for entry in inherited], [])
        if not inherited and not initial:
            raise ValueError("--init_num 0: no scores to start with; expected --archive with some")
    log.info("the archive holds %d scored architectures", len(archive))
    return archive


def continue_archive(
    archive: Archive, run: RunDirectory, architectures: Sequence[Genotype]
) -> None:
    """Before an iteration: a run that goes on gets back what its table has lost since.

    Args:
        archive: the run's own table.
        run: whose checkpoint knows the rows that the iteration stands on.
        architectures: of the iteration, which are scored after it.

    Raises:
        ValueError: the table isn't this run's.
    """
    lines = run.remember("scored", lambda: [line_of(entry) for entry in archive.entries])
    if archive.restore(lines, architectures):
        log.warning(
            "%s had lost rows; %d are there again, those that are still missing are scored again",
            *(archive.path, len(archive)),
        )
