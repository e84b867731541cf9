"""A small genome and peaks for tests of make_bundle.py, and the plain loop that it must equal."""

import gzip
import logging

import numpy as np

from tests.scripts.in_process import run_script

SCRIPT = "data_generators/make_bundle.py"


def random_sequence(rng, length):
    return "".join(rng.choice(list("ACGT"), length))


def write_fasta(path, sequences, *, width=60, end="\n"):
    lines = []
    for name, sequence in sequences.items():
        lines += [f">{name}", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def write_genome(folder, *, length=6000, **options):
    """Five chromosomes with a run of N, lower case and an ambiguous letter."""
    rng = np.random.default_rng(1)
    genome = {f"chr{n}": random_sequence(rng, length + 37 * n) for n in range(1, 6)}
    first = genome["chr1"]
    genome["chr1"] = first[:2000] + "N" * 150 + first[2150:3000].lower() + "R" + first[3001:]
    write_fasta(folder / "genome.fa", genome, **options)
    return genome


def write_peaks(folder, genome, *, count=14):
    """Three sorted peak files: narrowPeak, gzipped BED, BED; returns regions by target."""
    rng, targets = np.random.default_rng(2), {}
    for name in ("a.narrowPeak", "b.bed.gz", "c.bed"):
        rows = []
        for chromosome, sequence in genome.items():
            starts = sorted(rng.integers(0, len(sequence) - 400, count))
            rows += [(chromosome, s, s + int(rng.integers(20, 400))) for s in starts]
        text = "track name=x\n# comment\n" + "".join(f"{c}\t{s}\t{e}\tp\n" for c, s, e in rows)
        data = text.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        targets[name.split(".")[0]] = rows
    return targets


def plain_windows(genome, targets, chromosomes, *, window, size, overlap, unknown=0.1):
    """One-hot windows (n, 4, L) and labels (n, targets), base by base."""
    sequences, labels = [], []
    for chromosome, text in genome.items():
        if chromosome not in chromosomes:
            continue
        covered = [[False] * len(text) for _ in targets]
        for bases, rows in zip(covered, targets.values(), strict=True):
            for name, start, stop in rows:
                for position in range(start, stop) if name == chromosome else ():
                    bases[position] = True
        for start in range(0, len(text) - size + 1, size):
            label = [
                100 * sum(bases[start : start + size]) > round(100 * overlap) * size
                for bases in covered
            ]
            left = start - (window - size) // 2
            if not any(label) or left < 0 or left + window > len(text):
                continue
            piece = text[left : left + window].upper()
            if sum(letter not in "ACGT" for letter in piece) <= unknown * window:
                sequences.append([[letter == base for letter in piece] for base in "AGCT"])
                labels.append(label)
    return np.array(sequences, np.uint8), np.array(labels, np.uint8)


def make(*line, script=SCRIPT):
    """Runs a script with its own log, as pytest's handlers would take it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        return run_script(script, [str(word) for word in line])
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
