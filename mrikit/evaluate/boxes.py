"""Boxes around lesions: fastMRI+ tables and those stored with a volume, in pixels of its reference."""

import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from mrikit.errors import DataError
from mrikit.storage import Location, file_state
from mrikit.volumes.hdf5 import attribute, read_hdf5
from mrikit.volumes.snu import image_sibling

BOXES_ATTRIBUTE = "annotations"
"""Attribute of a volume's file, or of its image file where it has one: a JSON list of objects with `slice`, `x`, `y`,
`width`, `height` and `label`, all counted from 0 and from the upper left corner; or since 2026 a JSON object that has
under each slice number a list of such objects without `slice`."""
STORED_GRID = 384
"""Stored boxes are in pixels of an image of this size, whose centre is the centre of the reference."""

_COLUMNS = ("file", "slice", "study_level", "x", "y", "width", "height", "label")
_NUMBERS = ("x", "y", "width", "height")
_SLICE = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle on one slice."""

    slice_index: int
    x: float
    """Left edge, pixels from the left of the reference."""
    y: float
    """Upper edge, pixels from the top of the reference."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""
    label: str
    """What the reader saw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxTable:
    """The boxes of a fastMRI+ file."""

    path: Path
    boxes: dict[str, tuple[Box, ...]]
    """Of each volume; `y` counts from the bottom of the image to the bottom of the box, as in the file."""
    num_study_level: int
    """Rows about a whole study, which have no box."""

    def boxes_of(self, volume_id: str, height: int) -> tuple[Box, ...]:
        """The boxes of a volume whose reference has that many rows, `y` turned to count from the top."""
        return tuple(replace(box, y=height - box.y - box.height) for box in self.boxes.get(volume_id, ()))


def read_box_table(path: Path) -> BoxTable:
    """Read boxes in the format of fastMRI+, whose images are upside down to fastMRI's.

    Raises:
        DataError: The file cannot be read, lacks a column or holds something else than numbers.

    Source:
        Zhao et al., fastMRI+, Scientific Data 9:152 (2022).
    """
    boxes: dict[str, list[Box]] = {}
    num_study_level = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise DataError(f"{path}: is empty; a fastMRI+ CSV would do")
            missing = [name for name in _COLUMNS if name not in reader.fieldnames]
            if missing:
                found = f"found {reader.fieldnames}"
                raise DataError(f"{path}: no column {missing[0]!r} as fastMRI+ has it; {found}")
            for row in reader:
                if row["study_level"].strip().lower() == "yes" or not any(row[name] for name in _NUMBERS):
                    num_study_level += 1
                    continue
                box = _box(row, f"{path}, line {reader.line_num}")
                boxes.setdefault(row["file"].removesuffix(".h5"), []).append(box)
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        # A row that ends early has None for what is not there.
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read as a table of boxes: {reason}; a fastMRI+ CSV would do") from error
    return BoxTable(
        path=path, boxes={name: tuple(found) for name, found in boxes.items()}, num_study_level=num_study_level
    )


def stored_boxes(volume: Location, size: tuple[int, int]) -> tuple[Box, ...]:
    """The boxes in the attributes of a volume, moved from their 384 x 384 grid to its reference; none if it has none.

    Args:
        volume: Its file; for the SNU format the k-space file, whose image file is then asked.
        size: (y, x) of the reference. Grid and reference share their centre, as a centre crop or padding has it.

    Raises:
        DataError: The attribute holds something else.
    """
    path = boxes_file(volume)
    text = read_hdf5(path, partial(_stored_text, path))
    if text is None:
        return ()
    place = f"{path}: attribute {BOXES_ATTRIBUTE!r}"
    try:
        rows = _rows(json.loads(text, object_pairs_hook=_without_repetition))
    except (TypeError, ValueError) as error:
        raise DataError(f"{place} is neither a JSON list of boxes nor an object of lists by slice: {error}") from error
    down, right = (_offset(STORED_GRID, wanted) for wanted in size)
    boxes = [_box(row, place) for row in rows]
    return tuple(replace(box, x=box.x - right, y=box.y - down) for box in boxes)


def boxes_file(volume: Location) -> Location:
    """The file whose attributes hold the boxes of a volume: its image file where it has one, else its own."""
    sibling = image_sibling(volume)
    return sibling if sibling is not None and file_state(sibling) is not None else volume


def attribute_names(volume: Location) -> list[str]:
    """What the file where boxes are looked for has as attributes."""
    return read_hdf5(boxes_file(volume), lambda file: sorted(file.attrs))


def crop_boxes(boxes: Iterable[Box], size: tuple[int, int], window: tuple[int, int]) -> list[Box]:
    """Boxes in pixels of an image of (y, x) `size` to pixels of the window in its centre."""
    down, right = (_offset(full, part) for full, part in zip(size, window, strict=True))
    return [replace(box, x=box.x - right, y=box.y - down) for box in boxes]


def _offset(full: int, part: int) -> int:
    """First pixel of a centre crop; for a part larger than the image, of the crop back, negative."""
    return (full - part) // 2 if full >= part else -((part - full) // 2)


def _stored_text(path: Location, file: h5py.File) -> str | bytes | None:
    """What the attribute holds, which has to be one text."""
    if BOXES_ATTRIBUTE in file.attrs and math.prod(file.attrs.get_id(BOXES_ATTRIBUTE).shape or ()) > 1:
        num_texts = math.prod(file.attrs.get_id(BOXES_ATTRIBUTE).shape)
        raise DataError(f"{path}: attribute {BOXES_ATTRIBUTE!r} holds {num_texts} values; one JSON text would do")
    found: str | bytes | None = attribute(file, BOXES_ATTRIBUTE)
    return found


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two entries of one name json itself would drop one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _rows(content: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever the JSON holds
    """The boxes of either form, each with its slice."""
    if isinstance(content, dict):
        rows = []
        for name, found in content.items():
            if not _SLICE.fullmatch(name):
                raise ValueError(f"{name!r} is no slice number")
            if not isinstance(found, list):
                raise TypeError(f"slice {name} has {type(found).__name__} instead of a list")
            for row in found:
                if isinstance(row, dict) and str(row.get("slice", name)) != name:
                    raise ValueError(f"a box of slice {name} says slice {row['slice']}")
                rows.append({**row, "slice": name} if isinstance(row, dict) else row)
        content = rows
    if not isinstance(content, list):
        raise TypeError(f"it is {type(content).__name__}")
    for row in content:
        if not isinstance(row, dict):
            raise TypeError(f"a box is {type(row).__name__} instead of an object")
    return content


def _box(row: dict[str, Any], place: str) -> Box:
    numbers = {}
    for name in ("slice", *_NUMBERS):
        try:
            numbers[name] = math.nan if isinstance(row[name], bool) else float(row[name])
        except (KeyError, TypeError, ValueError):
            numbers[name] = math.nan
        if not math.isfinite(numbers[name]):
            raise DataError(f"{place}: a box needs a number as {name!r}; found {row.get(name)!r}")
    if not numbers["slice"].is_integer():
        raise DataError(f"{place}: a slice has a whole number; found {row['slice']!r}")
    return Box(
        slice_index=int(numbers["slice"]),
        x=numbers["x"],
        y=numbers["y"],
        width=numbers["width"],
        height=numbers["height"],
        label=str(row.get("label") or "unnamed"),
    )
