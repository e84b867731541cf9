"""The header of a packed cache: its layout, and which source it was made from."""

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

FORMAT = "genomeNAS packed sequences 2"
HEADER_BYTES = 512
CHANNELS = 4
_SAMPLE_PARTS, _SAMPLE_BYTES = 256, 1 << 16
"""What of a source goes into its checksum: all of a small one, 16 MB of a large one."""
_IDENTITY = ("source_ctime_ns", "source_inode")
"""What of a source's stamp may change while its content stays."""


class RecordLayout(NamedTuple):
    """Sizes of a packed split.

    Attributes:
        num_sequences: number of records.
        seq_size: length of every sequence, in bp.
        num_targets: number of labels of every sequence.
    """

    num_sequences: int
    seq_size: int
    num_targets: int

    @property
    def sequence_bytes(self) -> int:
        """Bytes of a record that hold the sequence."""
        return -(-CHANNELS * self.seq_size // 8)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record."""
        return self.sequence_bytes + -(-self.num_targets // 8)


def header_of(stamp: Mapping[str, Any], layout: RecordLayout) -> bytes:
    """The header as it stands in the file."""
    return json.dumps({**stamp, **layout._asdict()}).encode().ljust(HEADER_BYTES)


def stamp_with_checksum(source: Path) -> dict[str, Any]:
    """What a header says of its source; other content has another stamp."""
    return _stamp(source) | {"source_checksum": _checksum(source)}


def _stamp(source: Path) -> dict[str, Any]:
    """What tells a source at a glance."""
    stat = source.stat()
    return {
        "format": FORMAT,
        "source_bytes": stat.st_size,
        "source_mtime_ns": stat.st_mtime_ns,
        "source_ctime_ns": stat.st_ctime_ns,
        "source_inode": stat.st_ino,
    }


def _checksum(source: Path) -> int:
    """Of parts spread over the whole file."""
    size, checksum = source.stat().st_size, 0
    with source.open("rb") as file:
        for start in range(0, size, max(size // _SAMPLE_PARTS, _SAMPLE_BYTES)):
            file.seek(start)
            checksum = zlib.crc32(file.read(_SAMPLE_BYTES), checksum)
    return checksum


def read_layout(path: Path, source: Path) -> RecordLayout | None:
    """The layout that the header of a cache states; None if absent, stale or not whole.

    Raises:
        OSError: the cache can't be read.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    try:
        header = json.loads(raw)
        layout = RecordLayout(*(header.pop(field) for field in RecordLayout._fields))
        checksum = header.pop("source_checksum")
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s is damaged and will be made anew", path)
        return None
    stamp = _stamp(source)
    # A copy or a link has another inode; a tool that sets times (touch -r) shows in ctime alone.
    same = header == stamp or (
        header | {name: stamp[name] for name in _IDENTITY} == stamp
        and checksum == _checksum(source)
    )
    if not same or any(type(number) is not int or number < 1 for number in layout):
        logger.info("%s is out of date and will be made anew", path)
        return None
    if size != HEADER_BYTES + layout.num_sequences * layout.record_bytes:
        logger.warning("%s is incomplete and will be made anew", path)
        return None
    if header != stamp:
        with contextlib.suppress(OSError), path.open("r+b") as file:
            file.write(header_of(stamp | {"source_checksum": checksum}, layout))
    return layout
