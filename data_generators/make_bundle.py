"""Makes a bundle in DeepSEA's format out of a genome and peaks, or out of FASTA files.

See docs/own_data.md.
"""

import functools
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from data_generators.bundle_files import SPLITS, BundleOptions, Split, check_folder, write_bundle
from data_generators.genome import Genome
from data_generators.genome_windows import WindowOptions, Windows, choose_windows, read_windows
from data_generators.labelled_fasta import open_fasta
from data_generators.peaks import Regions, merge, name_targets, read_bed
from generalNAS_tools.files.progress import progress_bar
from generalNAS_tools.runs.command import run_command
from generalNAS_tools.runs.flags import parse_options

log = logging.getLogger("make_bundle")
RARE = 10
"""Fewer positives or negatives than this in a split make AUROC and AUPRC mostly chance."""

_OF_GENOMES = {"genome", "peaks", "peaks_table", "exclude", "valid_chroms", "test_chroms"}
_OF_GENOMES |= {field.name for field in fields(WindowOptions)} - {"seed"}
_OF_FASTA = {"fasta", "labels", "valid_share", "test_share"}
"""Flags without effect on bundles of the other kind, where they are refused."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of this script."""

    bundle: BundleOptions
    windows: WindowOptions


def main() -> None:
    """Writes the bundle."""
    options = parse_options(Options, __doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    bundle = options.bundle
    if bool(bundle.genome) == bool(bundle.fasta):
        raise ValueError("expected either --genome or --fasta")
    mode, unused = ("fasta", _OF_GENOMES) if bundle.fasta else ("genome", _OF_FASTA)
    for word in sys.argv[1:]:
        name = word.partition("=")[0]
        if name.startswith("--") and name[2:] in unused:
            raise ValueError(f"{name}: without effect with --{mode}; leave it out")
    check_folder(bundle.directory, overwrite=bundle.overwrite)
    if bundle.fasta:
        from_fasta(bundle, options.windows.seed)
    else:
        with Genome(bundle.genome) as genome:
            from_genome(genome, bundle, options.windows)
    log.info("wrote a bundle into %s", bundle.directory)


def from_fasta(bundle: BundleOptions, seed: int) -> None:
    """Writes the bundle of FASTA files."""
    found = open_fasta(bundle, seed)
    report(found.splits, found.targets, found.positives)
    write_bundle(bundle.directory, found.splits, seq_size=found.seq_size, targets=found.targets)


def from_genome(genome: Genome, bundle: BundleOptions, options: WindowOptions) -> None:
    """Writes the bundle of a genome and peaks."""
    if options.window < options.bin:
        raise ValueError(f"--window {options.window}: shorter than --bin {options.bin}")
    split_of = split_chromosomes(genome, bundle)
    names, regions = read_targets(genome, bundle)
    excluded = read_bed(bundle.exclude, genome.lengths, genome.source) if bundle.exclude else {}
    chosen: dict[str, list[Windows]] = {name: [] for name in SPLITS}
    for chromosome in progress_bar(genome.lengths, desc="labelling", unit="chromosome"):
        windows = choose_windows(genome, chromosome, regions, excluded, options)
        chosen[split_of[chromosome]].append(windows)
    strands = 1 + bundle.double_strands
    splits = {}
    for name, parts in chosen.items():
        read = functools.partial(
            read_windows, genome, parts, options, len(names),
            both_strands=bundle.double_strands, name=name,
        )  # fmt: skip
        splits[name] = Split(strands * sum(len(part.starts) for part in parts), read)
    dropped = sum((part.counts for parts in chosen.values() for part in parts), Counter[str]())
    for reason, count in dropped.items():
        log.info("%d windows %s", count, reason)
    report(splits, names, strands * count_positives(chosen, len(names)))
    write_bundle(bundle.directory, splits, seq_size=options.window, targets=names)


def split_chromosomes(genome: Genome, bundle: BundleOptions) -> dict[str, str]:
    """The split of every chromosome.

    Raises:
        ValueError: a chromosome is unknown or in two splits, or a split has none.
    """
    split_of = dict.fromkeys(genome.lengths, "train")
    for split, text in (("valid", bundle.valid_chroms), ("test", bundle.test_chroms)):
        for chromosome in filter(None, text.split(",")):
            if chromosome not in split_of:
                held = ", ".join(list(split_of)[:5])
                raise ValueError(f"--{split}_chroms {chromosome}: {genome.source} has {held} ...")
            if split_of[chromosome] not in {"train", split}:
                raise ValueError(f"{chromosome} is in --valid_chroms and in --test_chroms")
            split_of[chromosome] = split
    for split in SPLITS:
        if split not in split_of.values():
            raise ValueError(
                f"no chromosome is left for {split}.mat; see --valid_chroms, --test_chroms"
            )
    return split_of


def read_targets(genome: Genome, bundle: BundleOptions) -> tuple[list[str], list[Regions]]:
    """Names of the targets and their peaks, those of one name together."""
    found: dict[str, Regions] = {}
    files = name_targets(bundle.peaks, bundle.peaks_table)
    for target, path in progress_bar(files, desc="reading peaks", unit="file"):
        regions = found.setdefault(target, {})
        for chromosome, intervals in read_bed(path, genome.lengths, genome.source).items():
            if chromosome in regions:
                pairs = zip(regions[chromosome], intervals, strict=True)
                intervals = merge(*map(np.concatenate, pairs))
            regions[chromosome] = intervals
    return list(found), list(found.values())


def count_positives(chosen: dict[str, list[Windows]], num_targets: int) -> NDArray[np.int64]:
    """Labelled windows of every split and target, (splits, targets)."""
    counts = np.zeros((len(SPLITS), num_targets), np.int64)
    for row, name in zip(counts, SPLITS, strict=True):
        for windows in chosen[name]:
            for target in range(num_targets):
                row[target] += (windows.labels[:, target // 8] & 128 >> target % 8 > 0).sum()
    return counts


def report(splits: dict[str, Split], targets: Sequence[str], positives: NDArray[np.int64]) -> None:
    """Says what there is, and warns of what can't be scored.

    Raises:
        ValueError: a split is empty, a target has no positive in any, or none has both kinds.
    """
    for name, split in splits.items():
        log.info("%s: %d sequences", name, split.size)
        if not split.size:
            raise ValueError(
                f"no window of {name}.mat has a label; see --min_overlap and the splits"
            )
    log.info("positives (%s)", ", ".join(SPLITS))
    for target, counts in zip(targets, positives.T, strict=True):
        log.info("  %s: %s", target, ", ".join(map(str, counts)))
        if not counts.any():
            raise ValueError(f"target {target}: its peaks label no window; see --min_overlap")
        for name, count in zip(SPLITS, counts, strict=True):
            kinds = {"positives": count, "negatives": splits[name].size - count}
            for kind, number in kinds.items():
                if number < RARE:
                    log.warning(
                        "%s: only %d %s in %s, too rare to score", target, number, kind, name
                    )
    sizes = np.array([[splits[name].size] for name in SPLITS])
    if not ((positives > 0) & (positives < sizes)).any():
        raise ValueError(
            "no target has positives and negatives in one split, so nothing can be learned; "
            "add negatives (of a genome by --negatives=matched) or more peak files"
        )


if __name__ == "__main__":
    run_command(main)
