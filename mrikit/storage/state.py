"""What is known of a file without reading it."""

from dataclasses import dataclass, field

NOT_THERE = 0
"""The version of a file that does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """What a listing tells about a file."""

    size_bytes: int
    version: int
    """Changes whenever the file does: the time of modification in ns, or the ETag of a blob as a number."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What its writer noted on a blob; always empty for a local file."""
