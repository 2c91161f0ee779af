"""Which blocks of a partial file are there: one line for each, so that a kill at any point loses none of them."""

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from mrikit.transfer.copying.blocks import BlockPlan


class Journal:
    """JSON lines: the plan, then who works on it since, and each block with its CRC-32.

    A line that was torn by a kill or a power cut is skipped; its block is transferred again.
    """

    def __init__(self, path: Path, plan: BlockPlan) -> None:
        self.path, self._plan = path, plan
        self._header = {
            "mrikit": "blocks of a partial archive",
            "name": plan.name,
            "size_bytes": plan.size_bytes,
            "version": plan.version,
            "block_bytes": plan.block_bytes,
        }
        self._file: int | None = None

    def load(self) -> dict[int, int]:
        """The CRC-32 of each block that is there; none where the journal is missing or for another plan.

        Raises:
            OSError: It cannot be read.
        """
        lines = self._lines()
        if not lines or lines[0] != self._header:
            return {}
        return {
            line["block"]: line["crc32"]
            for line in lines
            if isinstance(line.get("block"), int)
            and isinstance(line.get("crc32"), int)
            and 0 <= line["block"] < self._plan.num_blocks
        }

    def holder(self) -> str:
        """Who worked on it last, in words."""
        with contextlib.suppress(OSError):
            for line in reversed(self._lines()):
                if "process" in line:
                    return f"process {line['process']} on {line.get('host', 'another host')}"
        return "another process"

    def begin(self, *, anew: bool) -> None:
        """Open it for adding blocks; empty it first if `anew`.

        Raises:
            OSError: It cannot be written.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        if anew:
            os.ftruncate(self._file, 0)
            self._append(self._header)
        else:
            os.write(self._file, b"\n")  # ends a torn line
        self._append({"process": os.getpid(), "host": os.uname().nodename})

    def add(self, number: int, crc32: int) -> None:
        """A block is at the target.

        Raises:
            OSError: It cannot be noted.
        """
        self._append({"block": number, "crc32": crc32})

    def close(self) -> None:
        """Once it is closed it may be deleted."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, line: dict[str, Any]) -> None:
        assert self._file is not None, "begin() comes first"
        data = json.dumps(line).encode() + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    found.append(value)
        return found
