"""The results of earlier checks, one line of JSON each, so that a check that was killed goes on where it stopped."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from mrikit.check.findings import Finding, finding_of
from mrikit.errors import StorageError
from mrikit.storage import Location, cache_folder, write_text
from mrikit.transfer.places import MANIFEST_FOLDER

JOURNAL_NAME = "check.journal"
"""No `.jsonl`, which is how the manifests of archives beside it are called."""
_VERSION = 1
"""Of what is checked, and of the bounds: results of other versions do not count."""

Key: TypeAlias = tuple[str, str]
"""What was checked (`slices`, or `sha256 of` a manifest), and the file, relative to the data folder."""
Signature: TypeAlias = list[int | str]
"""Changes whenever one of the files that were read does."""
Result: TypeAlias = tuple[Signature, list[Finding]]


def own_file(folder: Location, name: str) -> Path:
    """Where to keep a file of our own about a data folder: in it, or in the cache if it is not ours to write to."""
    if isinstance(folder, Path) and os.access(folder, os.W_OK):
        return folder / MANIFEST_FOLDER / name
    place = str(folder.resolve() if isinstance(folder, Path) else folder)
    return cache_folder() / "check" / f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}-{name}"


def read_journal(path: Path) -> dict[Key, Result]:
    """The last result for each file; torn lines and those of other versions are skipped."""
    results: dict[Key, Result] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                version, kind, name, signature, findings = json.loads(line)
                if version == _VERSION:
                    results[kind, name] = signature, [finding_of(found) for found in findings]
    return results


def write_journal(path: Path, results: dict[Key, Result]) -> None:
    """Replace the journal.

    Raises:
        StorageError: It cannot be written.
    """
    write_text(path, "".join(_line(key, result) + "\n" for key, result in results.items()))


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Callable[[Key, Result], None]]:
    """A function that saves a result at once.

    Raises:
        StorageError: It cannot be written.
    """
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    with file:

        def save(key: Key, result: Result) -> None:
            with _writing(path):
                # The line break first: it ends what a killed check left. One write, because two checks may run at once.
                file.write(f"\n{_line(key, result)}\n".encode())

        yield save


def _line(key: Key, result: Result) -> str:
    signature, findings = result
    return json.dumps([_VERSION, *key, signature, [finding.as_json() for finding in findings]])


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: the results cannot be kept: {os.strerror(error.errno or 0)}; free some space, or mend the folder"
        ) from error
