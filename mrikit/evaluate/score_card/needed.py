"""The volumes that a score card is made for: those that the rule chooses, or those of an earlier card."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import DataError
from mrikit.evaluate.score_card.rule import RULE, SHARE, is_chosen
from mrikit.evaluate.wording import name_some
from mrikit.storage import Location, file_state, read_range
from mrikit.volumes import Volume, VolumeFile, scan_volumes
from mrikit.volumes.snu import image_sibling

_BLOCK_BYTES = 2**24


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenList:
    """The files that a card has to have, by name."""

    source: Path
    """Where the list comes from."""
    digests: Mapping[str, str | None]
    """File name to SHA-256; None where the list has names only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """The volumes of a card, and how many of the folder are not among them."""

    files: tuple[VolumeFile, ...]
    """Sorted by name."""
    left_out: Mapping[str, int]
    """Why volumes are left out, and how many."""


def read_frozen_list(path: Path) -> FrozenList:
    """Read which files a card has to have: another card, or a text with a file name on each line.

    Raises:
        DataError: It is neither, or a card of another rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; a card, or a list of file names, would do") from error
    if not text.lstrip().startswith("{"):
        digests: dict[str, str | None] = {_file_name(line.strip()): None for line in text.splitlines() if line.strip()}
    else:
        try:
            card = json.loads(text)
            name = card["rule"]["name"]
            digests = {str(file["name"]): str(file["sha256"]) for file in card["files"]}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is no score card ({error!r}); make one with `mrikit score-card`") from error
        if name != RULE:
            raise DataError(f"{path}: a card by {name}; this version of mrikit has {RULE}")
    if not digests:
        raise DataError(f"{path}: names no file; a card, or a file name on each line, would do")
    return FrozenList(source=path, digests=digests)


def find_needed(data: Location, frozen: FrozenList | None = None) -> Needed:
    """The volumes of a folder that the rule chooses, or those of a list.

    Raises:
        DataError: There is no volume, a file that may be needed cannot be read or is there twice, the list has a file
            that is not there or not fit, or none is left.
        StorageError: Blobs cannot be read.
    """
    fit: dict[str, tuple[VolumeFile, bool]] = {}
    left_out = Counter[str]()
    for file in scan_volumes(data):
        name = volume_name(file)
        if frozen and name not in frozen.digests:
            left_out[f"not in {frozen.source.name}"] += 1
            continue
        volume = file.open()
        reason = _why_unfit(file.path, volume)
        if reason and frozen:
            raise DataError(f"{file.path}: {reason}, and is on the list of {frozen.source}; is it the same file?")
        if reason:
            left_out[reason] += 1
            continue
        if name in fit:
            raise DataError(f"{fit[name][0].path} and {file.path} have one name; name the folder of one of them")
        fit[name] = file, frozen is not None or is_chosen(volume.info)
    missing = sorted(frozen.digests.keys() - fit.keys()) if frozen else []
    if frozen and missing:
        raise DataError(
            f"{data}: lacks {name_some(missing)} of the {len(frozen.digests)} files of {frozen.source}; a card is made "
            "for all of them"
        )
    if not fit:
        found = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        raise DataError(f"{data}: no volume for {RULE}; found {found}; fully sampled ones with a reference would do")
    # Where the rule chooses nobody, as of very few patients, everybody is.
    is_all = not any(is_needed for _, is_needed in fit.values())
    files = tuple(fit[name][0] for name in sorted(fit) if is_all or fit[name][1])
    if len(files) < len(fit):
        left_out[f"not chosen by the rule, which takes one patient in {SHARE}"] = len(fit) - len(files)
    return Needed(files=files, left_out=dict(sorted(left_out.items())))


def volume_name(file: VolumeFile) -> str:
    """The name of a file, for one of several volumes in it with what tells them apart."""
    return f"{file.volume_id}{file.path.suffix}"


def describe_files(
    needed: Needed, frozen: FrozenList | None, on_file: Callable[[], None] = lambda: None
) -> list[dict[str, object]]:
    """Name, size and SHA-256 of each file as JSON, those of a list compared with it.

    Raises:
        DataError: A file is not the one of the list.
        StorageError: A file cannot be read.
    """
    facts = []
    for file in needed.files:
        digest, name = _sha256(file.path), volume_name(file)
        wanted = frozen.digests[name] if frozen else None
        if wanted not in (None, digest):
            assert frozen is not None
            raise DataError(
                f"{file.path}: another file than that of {frozen.source}: its SHA-256 begins with {digest[:12]}, there "
                f"with {str(wanted)[:12]}"
            )
        volume = file.open()
        facts.append(
            {
                "name": name,
                "size_bytes": file.source_signature[0],
                "sha256": digest,
                "acquisition": volume.info.acquisition,
                "num_slices": len(volume.kspace),
            }
        )
        on_file()
    return facts


def _file_name(name: str) -> str:
    return name if "." in name else f"{name}.h5"


def _why_unfit(path: Location, volume: Volume) -> str:
    if volume.reference is None:
        return "without a reference"
    image = image_sibling(path)
    if image is not None and file_state(image) is not None:  # the digest of the file would not hold for it
        return "with its reference in another file"
    return "" if volume.is_fully_sampled else "undersampled"


def _sha256(path: Location) -> str:
    """Digest of a file, read in blocks."""
    state = file_state(path)
    size = state.size_bytes if state else 0
    digest = hashlib.sha256()
    for start in range(0, size, _BLOCK_BYTES):
        digest.update(read_range(path, start, min(_BLOCK_BYTES, size - start)))
    return digest.hexdigest()
