"""Random DNA with planted transcription-factor motifs and pairs of motifs.

The consensus sequences approximate those of well-known human factors; nothing else here is
biology. Dimension letters: L sequence length (bp); n sequences.
"""

import numpy as np
from numpy.typing import NDArray

BASES = "AGCT"
UNKNOWN = 4
"""Code of an unknown base: four zeros; 0..3 number the `BASES`."""
_LEAVE = 255
_AMBIGUITY = {base: base for base in BASES} | {
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "N": "ACGT",
}
MOTIFS = {
    "CTCF": "CCASYAGRKGGCR",
    "REST": "TTCAGCACCATGGACAG",
    "AP-1": "RTGASTCAYM",
    "SP1": "GGGGCGGGGCY",
    "MYC": "RCCACGTGGY",
    "NRF1": "TGCGCATGCGCR",
    "CREB": "RTGACGTCAY",
    "ETS": "RACCGGAAGTR",
    "NF-Y": "RRCCAATSRGM",
    "STAT": "NTTCCNGGAAN",
    "p53": "RRACATGTCYRG",
    "HNF4": "GGGTCAAAGTCCA",
}
PAIRS = {
    "GATA1 before TAL1": ("CWGATAAGRAW", "AACAGATGGTS"),
    "TATA before YY1": ("STATAAAAGSC", "CAAGATGGCGGC"),
    "FOXA before NF-1": ("TGTTTACTTWG", "TTGGCTNNNTGC"),
    "RUNX before MEF2": ("RAACCACARAM", "KCTAAAAATAGM"),
}
NEAR, FAR = (8, 28), (46, 64)
"""Distances in bp (inclusive) between the motifs of a pair: as the grammar asks, and too far."""
_PLANTED = 0.2
_PAIR_KINDS = (0.2, 0.15, 0.15)
"""Shares of sequences with a pair as it should be, in the wrong order, and too far apart."""
_MUTATED = 0.03
_ATTEMPTS = 8
"""Places tried for a pattern."""

Codes = NDArray[np.uint8]


def draw_sequences(
    rng: np.random.Generator, size: int, seq_size: int
) -> tuple[Codes, NDArray[np.bool_]]:
    """Draws DNA and what is planted in it: codes (n, L), present (n, motifs + pairs)."""
    codes = _draw_background(rng, size, seq_size)
    taken = np.zeros(codes.shape, bool)
    present = np.zeros((size, len(MOTIFS) + len(PAIRS)), bool)
    none = 1 - sum(_PAIR_KINDS)
    for event, (first, second) in enumerate(PAIRS.values(), start=len(MOTIFS)):
        kinds = rng.choice(4, size, p=(*_PAIR_KINDS, none))
        arrangements = ((first, second, NEAR), (second, first, NEAR), (first, second, FAR))
        for kind, arrangement in enumerate(arrangements):
            rows = np.flatnonzero(kinds == kind)
            planted = _plant(rng, codes, taken, rows, _draw_pairs(rng, len(rows), *arrangement))
            present[planted, event] = kind == 0
    for event, consensus in enumerate(MOTIFS.values()):
        rows = np.flatnonzero(rng.random(size) < _PLANTED)
        planted = _plant(rng, codes, taken, rows, _draw_motifs(rng, len(rows), consensus))
        present[planted, event] = True
        # Decoys have the motif's composition, so that composition tells nothing.
        rows = np.flatnonzero(rng.random(size) < _PLANTED)
        decoys = rng.permuted(_draw_motifs(rng, len(rows), consensus), axis=1)
        _plant(rng, codes, taken, rows, decoys)
    return codes, present


def _draw_background(rng: np.random.Generator, size: int, seq_size: int) -> Codes:
    """Random bases; the GC content varies, and a few sequences begin with unknown bases."""
    content = rng.normal(0.45, 0.07, (size, 1)).clip(0.25, 0.7)
    strong = rng.random((size, seq_size), np.float32) < content
    side = rng.integers(0, 2, (size, seq_size), dtype=np.uint8)
    codes = np.where(strong, 1 + side, 3 * side).astype(np.uint8)
    codes[rng.random(size) < 0.02, : seq_size // 20] = UNKNOWN
    return codes


def _draw_motifs(rng: np.random.Generator, size: int, consensus: str) -> Codes:
    """Draws instances of a motif, mutated here and there, (size, width)."""
    allowed = np.array([[base in _AMBIGUITY[letter] for base in BASES] for letter in consensus])
    weights = (1 - _MUTATED) * allowed / allowed.sum(1, keepdims=True) + _MUTATED / len(BASES)
    draws = rng.random((size, len(consensus), 1))
    return (draws > weights.cumsum(1)[:, :-1]).sum(2).astype(np.uint8)


def _draw_pairs(
    rng: np.random.Generator, size: int, first: str, second: str, gaps: tuple[int, int]
) -> Codes:
    """Draws two motifs at a random distance, with `_LEAVE` around them, (size, widest)."""
    pattern = np.full((size, len(first) + gaps[1] + len(second)), _LEAVE, np.uint8)
    pattern[:, : len(first)] = _draw_motifs(rng, size, first)
    starts = len(first) + rng.integers(gaps[0], gaps[1] + 1, (size, 1))
    columns = starts + np.arange(len(second))
    np.put_along_axis(pattern, columns, _draw_motifs(rng, size, second), axis=1)
    return pattern


def _plant(
    rng: np.random.Generator,
    codes: Codes,
    taken: NDArray[np.bool_],
    rows: NDArray[np.intp],
    patterns: Codes,
) -> NDArray[np.intp]:
    """Writes patterns over free places, on either strand; returns the rows where it worked.

    Args:
        rng: draws strands and places.
        codes: bases, changed in place, (n, L).
        taken: positions of what was planted before, changed in place, (n, L).
        rows: the sequences to plant in, (m,).
        patterns: what to plant, (m, width).
    """
    backward = rng.random((len(rows), 1)) < 0.5
    complement = np.where(patterns == _LEAVE, _LEAVE, 3 - patterns)[:, ::-1]
    patterns = np.where(backward, complement, patterns).astype(np.uint8)
    done = []
    for _ in range(_ATTEMPTS):
        starts = rng.integers(0, codes.shape[1] - patterns.shape[1] + 1, (len(rows), 1))
        places = np.broadcast_arrays(rows[:, None], starts + np.arange(patterns.shape[1]))
        written = patterns != _LEAVE
        free = ~(taken[*places] & written).any(1)
        planted = written & free[:, None]
        target = tuple(indices[planted] for indices in places)
        codes[target] = patterns[planted]
        taken[target] = True
        done.append(rows[free])
        rows, patterns = rows[~free], patterns[~free]
    return np.concatenate(done)
