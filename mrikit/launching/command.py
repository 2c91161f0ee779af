"""A command's words, inputs, outputs and digest."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrikit.storage import BlobPath, parse_location

_WRITTEN = ("out", "to", "index_file")
"""Options that name a place which is written; every other place is read."""
_WRITTEN_TOO = {("evaluate",): ("recon",), ("data", "index"): ("data",)}
"""Commands that write beside what they read: scores, an index."""
_READ_AS_TEXT = ("boxes", "mask", "reconstructor")
"""Options that take a path or a word."""


def places(words: Sequence[str], params: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The places that a command reads and those that it writes, as absolute paths or az://."""
    reads: list[str] = []
    writes: list[str] = []
    written = (*_WRITTEN, *_WRITTEN_TOO.get(tuple(words[:1]), ()), *_WRITTEN_TOO.get(tuple(words[:2]), ()))
    for name, value in params.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if name in _READ_AS_TEXT and isinstance(one, str) and _is_path(name, one):
                one = parse_location(one)
            if isinstance(one, Path | BlobPath):
                text = str(one) if isinstance(one, BlobPath) else str(one.absolute())
                (writes if name in written else reads).append(text)
    return tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes))


def _is_path(name: str, text: str) -> bool:
    from mrikit.masks import is_mask_file

    if name == "reconstructor":  # or the name of a method
        return isinstance(parse_location(text), BlobPath) or Path(text).exists()
    return is_mask_file(text) if name == "mask" else text != "stored"


def digest(words: Sequence[str], folder: str) -> str:
    """8 hexadecimal digits of a command, whatever the order of its options, and the folder of its relative paths."""
    starts = [index for index, word in enumerate(words) if word.startswith("--")]
    options = [list(words[start:end]) for start, end in itertools.pairwise([*starts, len(words)])]
    plain = json.dumps([list(words[: starts[0]] if starts else words), sorted(options), folder])
    return hashlib.sha256(plain.encode()).hexdigest()[:8]
