"""The packed cache: one split of a DeepSEA bundle as bits, made once and memory-mapped after.

A record is one sequence: its one-hot matrix, 4·L bits in the order of a (4, L) array (channels
A, G, C, T), then one bit per target, each part filled up to whole bytes. That is exact: it
keeps unknown bases (four zeros) and ambiguous ones (several ones).
"""

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from generalNAS_tools.data.cache_header import (
    CHANNELS,
    RecordLayout,
    checksum,
    header_of,
    read_layout,
    stamp,
)
from generalNAS_tools.data.matlab_files import MatArray, open_mat
from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import (
    atomic_write,
    check_file,
    check_writable,
    remove_leftovers,
)
from generalNAS_tools.files.progress import progress_bar

logger = logging.getLogger(__name__)

PACKING_BYTES = 288 << 20
"""Memory for the records under construction: DeepSEA's test set fits, read in one go."""
TILE_BYTES = 16 << 20
"""Memory for unpacked values: about the size of a processor's cache, where packing is fastest."""
_NAME = 40
"""Characters of a source's name in that of its cache, if that lies in another folder."""


class PackedCache(NamedTuple):
    """A cache file that is whole and up to date."""

    path: Path
    layout: RecordLayout


@ranks.first_alone()
def packed_cache(
    source: Path, split: str, *, cache_dir: str | os.PathLike[str] | None = None
) -> PackedCache:
    """Finds the packed cache of a split, or makes it.

    Args:
        source: a MATLAB file, v5 or v7.3.
        split: "train", "valid" or "test"; the variables are <split>xdata and <split>data.
        cache_dir: folder for the cache; None: the source's own folder.

    Raises:
        ValueError: the source is missing, damaged or without the variables, or the cache can't
            be written.
    """
    check_file(source, f"a .mat file for --{split}_directory")
    path = _cache_path(source, split, cache_dir)
    try:
        remove_leftovers(path)
        layout = read_layout(path, source)
        if layout is None:
            check_writable(path)
    except (OSError, ValueError) as error:
        reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else f"{error}"
        raise ValueError(f"{reason}; name another folder for the cache with --cache_dir") from error
    if layout is None:
        layout = _write_cache(path, source, split)
    return PackedCache(path, layout)


def _cache_path(source: Path, split: str, cache_dir: str | os.PathLike[str] | None) -> Path:
    if cache_dir is None:
        return source.with_name(f"{source.name}.{split}.packed")
    # One cache folder may serve several files of the same name, and any length of it.
    digest = sha256(os.fsencode(source.resolve())).hexdigest()[:8]
    return Path(cache_dir) / f"{source.name[:_NAME]}-{digest}.{split}.packed"


def _write_cache(path: Path, source: Path, split: str) -> RecordLayout:
    logger.info("packing %s into %s", source, path)
    header = stamp(source) | {"checksum": checksum(source)}
    with open_mat(source, (f"{split}xdata", f"{split}data")) as (sequences, labels):
        layout = _checked_layout(sequences, labels)
        with atomic_write(path) as file:
            file.write(header_of(header | {"layout": layout}))
            _write_records(file, sequences, labels, layout=layout)
    return layout


def _checked_layout(sequences: MatArray, labels: MatArray) -> RecordLayout:
    source, shape, label_shape = sequences.path, sequences.values.shape, labels.values.shape
    # MATLAB drops trailing axes of size 1, so that of L = 1 is missing.
    full_shape = (1,) * (3 - len(shape)) + shape
    if len(full_shape) != 3 or full_shape[1] != CHANNELS:
        raise ValueError(
            f"{source}: {sequences.name} is {shape[::-1]} in MATLAB's order of axes; expected "
            "(sequences, 4, length)"
        )
    if len(label_shape) != 2 or label_shape[1] != shape[-1]:
        raise ValueError(
            f"{source}: {labels.name} is {label_shape[::-1]} in MATLAB's order of axes; expected "
            f"({shape[-1]}, targets) as {sequences.name} holds {shape[-1]} sequences"
        )
    layout = RecordLayout(shape[-1], full_shape[0], label_shape[0])
    if min(layout) < 1:
        raise ValueError(f"{source}: {sequences.name} or {labels.name} is empty")
    return layout


def _write_records(
    file: IO[bytes], sequences: MatArray, labels: MatArray, *, layout: RecordLayout
) -> None:
    """Packs as many records as the memory allows at a time, each time reading all planes."""
    num_sequences, seq_size, num_targets = layout
    chunk = sequences.chunks[-1]
    step = max(PACKING_BYTES // layout.record_bytes, 1)
    step = step // chunk * chunk or step
    total = num_sequences * (CHANNELS * seq_size + num_targets)
    # Plane p of the sequences is channel p % 4 of position p // 4.
    bit_of_plane = np.arange(CHANNELS * seq_size).reshape(CHANNELS, seq_size).T.reshape(-1)
    label_bits = 8 * layout.sequence_bytes + np.arange(num_targets)
    with progress_bar(total=total, desc=f"packing {sequences.name}", unit_scale=True) as bar:
        for start in range(0, num_sequences, step):
            stop = min(start + step, num_sequences)
            columns = np.zeros((layout.record_bytes, stop - start), np.uint8)
            for array, bit_numbers in ((sequences, bit_of_plane), (labels, label_bits)):
                for plane, first, ones in array.pieces(start, stop, tile_bytes=TILE_BYTES):
                    byte, bit = divmod(int(bit_numbers[plane]), 8)
                    column = columns[byte, first - start : first - start + len(ones)]
                    column |= ones.view(np.uint8) << np.uint8(7 - bit)
                    bar.update(len(ones))
            _write_transposed(file, columns)


def _write_transposed(file: IO[bytes], columns: NDArray[np.uint8], step: int = 4096) -> None:
    for start in range(0, columns.shape[1], step):
        file.write(np.ascontiguousarray(columns[:, start : start + step].T).data)
