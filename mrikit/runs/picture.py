"""Pictures of a run: panels of slices, and their PNG files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mrikit.storage import atomic_path

MAX_PICTURES = 50
"""Pictures of one name that stay in a folder, the first and the newest; at 4 columns and 8 rows of 320 x 320 pixels
some 80 MB."""
MAX_SHOWN = 4
"""Of them a report shows so many."""
ERROR_GAIN = 5
"""By how much errors are brighter than images."""

_GAP, _WHITE = 2, 255
T = TypeVar("T")
_FILE = re.compile(r"step-(?P<step>\d+)-(?P<name>.+)\.png")


def panel(rows: Sequence[Mapping[str, npt.NDArray[np.floating]]]) -> npt.NDArray[np.uint8]:
    """One picture of some slices: a row for each slice, a column for each of its images.

    Args:
        rows: For each slice its (y, x) images by name, in the order of the columns, the same names in each: `reference`
            and others, such as `zero_filled`, `output` and `error`. All share the scale of their reference, whose
            maximum is white. The amount of `error` is shown `ERROR_GAIN` times brighter.

    Returns:
        (y, x) uint8. Smaller images have black below and to the right of them. What is not finite is black.
    """
    grid = [_row_levels(row) for row in rows]
    heights = [max(len(image) for image in line) for line in grid]
    widths = [max(image.shape[1] for image in column) for column in zip(*grid, strict=True)]
    cells = [
        [_framed(image, height, width) for image, width in zip(line, widths, strict=True)]
        for line, height in zip(grid, heights, strict=True)
    ]
    return np.block(cells)[:-_GAP, :-_GAP]


def levels(image: npt.NDArray[np.floating], top: float) -> npt.NDArray[np.uint8]:
    """Values from 0 to `top` as 0 to 255, clipped; NaN is 0."""
    scaled = np.nan_to_num(image / top if top > 0 else np.zeros_like(image), posinf=1, neginf=0)
    shown: npt.NDArray[np.uint8] = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return shown


def picture_name(name: str, step: int) -> str:
    """The file of a picture: `step-00000120-validation.png`."""
    return f"step-{step:08d}-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}.png"


def list_pictures(folder: Path) -> list[tuple[int, str, Path]]:
    """Step, name and path of the pictures in a folder, by step."""
    found = [(_FILE.fullmatch(path.name), path) for path in folder.glob("step-*.png")]
    return sorted((int(match["step"]), match["name"], path) for match, path in found if match)


def first_to_last(pictures: Sequence[T], count: int = MAX_SHOWN) -> list[T]:
    """The first, the last, and so many between them that there are `count` at most."""
    if len(pictures) <= count:
        return list(pictures)
    return [pictures[round(part * (len(pictures) - 1) / (count - 1))] for part in range(count)]


def save_picture(folder: Path, name: str, image: npt.NDArray[np.uint8], step: int) -> Path:
    """Write a picture as PNG, then remove those of this name beyond `MAX_PICTURES`, the oldest but for the first.

    Args:
        folder: Of the pictures; it is made.
        name: What it shows.
        image: (y, x) or (y, x, 3).
        step: Of the run.

    Raises:
        StorageError: The disk is full or the file cannot be written.
    """
    from PIL import Image

    path = folder / picture_name(name, step)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)
    same = [other for _, of, other in list_pictures(folder) if picture_name(of, step) == path.name]
    for old in same[1 : 1 - MAX_PICTURES]:
        old.unlink()
    return path


def _row_levels(row: Mapping[str, npt.NDArray[np.floating]]) -> list[npt.NDArray[np.uint8]]:
    top = float(np.nanmax(row["reference"]))
    return [
        levels(np.abs(image), top / ERROR_GAIN) if name == "error" else levels(image, top)
        for name, image in row.items()
    ]


def _framed(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """An image on black of a size, with a white gap below and to the right."""
    framed = np.full((height + _GAP, width + _GAP), _WHITE, np.uint8)
    framed[:height, :width] = 0
    framed[: len(image), : image.shape[1]] = image
    return framed
