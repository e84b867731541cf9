"""What a search in stages writes at its end: the chain of genotypes, the choice, the pictures."""

import logging

from darts_tools.alpha_history import AlphaHistory
from darts_tools.derivation import count_skips
from generalNAS_tools.runs.run_directory import RunDirectory
from generalNAS_tools.search_space.genotypes import Genotype

log = logging.getLogger(__name__)


def write_staged_result(
    chain: dict[int, Genotype], max_skips: int, *, run: RunDirectory, history: AlphaHistory
) -> None:
    """Writes the genotype for every limit of skips, says which is chosen, and draws the search.

    Args:
        chain: genotypes by the largest number of skips in the normal cell.
        max_skips: the limit that chooses.
        run: where to.
        history: the alphas over all stages.
    """
    derived = count_skips(chain[max(chain)])
    chosen = chain[max_skips]
    run.files.write_json(
        "skip_chain", {str(limit): genotype._asdict() for limit, genotype in chain.items()}
    )
    log.info(
        "the normal cell was derived with %d skip connections; --max_skip_connects %d: %s",
        derived,
        max_skips,
        "kept as it is" if derived <= max_skips else f"cut to {count_skips(chosen)}",
    )
    history.draw(run, chosen)
    run.files.write_genotype(chosen)
