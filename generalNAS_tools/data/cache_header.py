"""The header of a packed cache: its layout, and which source it was made from."""

import contextlib
import json
import logging
import zlib
from pathlib import Path
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

FORMAT = "genomeNAS packed sequences 2"
HEADER_BYTES = 512
CHANNELS = 4
_SAMPLE_PARTS, _SAMPLE_BYTES = 256, 1 << 16
"""What of a source goes into its checksum: all of a small one, 16 MB of a large one."""


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


def read_layout(path: Path, source: Path) -> RecordLayout | None:
    """The layout that the header of a cache states; None if absent, stale or not whole.

    Raises:
        OSError: the cache can't be read.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    try:
        header = json.loads(raw)
        layout = RecordLayout(*header["layout"])
        expected_bytes = HEADER_BYTES + layout.num_sequences * layout.record_bytes
        valid = min(layout) > 0 and path.stat().st_size == expected_bytes
        current = stamp(source) | {key: header[key] for key in ("checksum", "layout")}
        # A copy has another inode; a tool that sets times (touch -r) shows in ctime alone.
        known = header == current
        if valid and not known and header | {"identity": current["identity"]} == current:
            known = header["checksum"] == checksum(source)
            if known:
                with contextlib.suppress(OSError), path.open("r+b") as file:
                    file.write(header_of(current))
    except (ValueError, KeyError, TypeError):
        valid = False
    if valid and known:
        return layout
    logger.warning("%s is damaged or out of date and will be made anew", path)
    return None


def header_of(fields: dict[str, Any]) -> bytes:
    """A header as it stands in the file."""
    return json.dumps(fields).encode().ljust(HEADER_BYTES)


def stamp(source: Path) -> dict[str, Any]:
    """What tells a source at a glance; its identity may change while its content stays."""
    stat = source.stat()
    content, identity = [stat.st_size, stat.st_mtime_ns], [stat.st_ino, stat.st_ctime_ns]
    return {"format": FORMAT, "source": content, "identity": identity}


def checksum(source: Path) -> int:
    """Of parts spread over the whole file."""
    size, value = source.stat().st_size, 0
    with source.open("rb") as file:
        for start in range(0, size, max(size // _SAMPLE_PARTS, _SAMPLE_BYTES)):
            file.seek(start)
            value = zlib.crc32(file.read(_SAMPLE_BYTES), value)
    return value
