"""A reconstruction as pictures, one PNG file for each slice."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mrikit.export.part import Part
from mrikit.export.source import RESEARCH_USE, Source, shown_range

_MARK = "mrikit"


def png_parts(source: Source, mark: str, bits: int) -> list[Part]:
    """`NAME/0001.png` and so on; all slices of a volume share one window.

    Args:
        source: The reconstruction.
        mark: Of the reconstruction.
        bits: Of a pixel, 8 or 16.
    """
    window = shown_range(source.image)
    return [
        Part(
            name=f"{source.name}/{index + 1:04}.png",
            mark=f"{mark} {bits} {index}",
            read_mark=_read_mark,
            write=partial(_write, source, index, window, bits, f"{mark} {bits} {index}"),
        )
        for index in range(len(source.image))
    ]


def _write(source: Source, index: int, window: tuple[float, float], bits: int, mark: str, path: Path) -> None:
    low, high = window
    white = 2**bits - 1
    grey = np.rint(np.clip((source.image[index] - low) / (high - low), 0, 1) * white)
    info = PngInfo()
    info.add_text(_MARK, mark)
    info.add_text("Comment", f"{RESEARCH_USE}. {source.description}")
    picture = Image.fromarray(grey.astype(np.uint8 if bits == 8 else np.uint16))
    picture.save(path, pnginfo=info)


def _read_mark(path: Path) -> str:
    with Image.open(path) as picture:
        return str(picture.info[_MARK])
