"""Photographs that scikit-image ships in its wheel, as grey images."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mrikit.errors import ConfigError, DataError

PHOTOGRAPHS: Mapping[str, str] = {
    "astronaut": "public domain, NASA",
    "brick": "CC0, CC0Textures",
    "camera": "CC0, Lav Varshney",
    "cell": "CC0, David Root",
    "chelsea": "CC0, Stefan van der Walt",
    "clock_motion": "public domain, Stefan van der Walt",
    "coffee": "CC0, Rachel Michetti",
    "coins": "no known copyright restrictions, Brooklyn Museum",
    "grass": "CC0",
    "gravel": "CC0, CC0Textures",
    "horse": "CC0, Andreas Preuss",
    "ihc": "no known copyright restrictions",
    "text": "public domain, Wikipedia",
}
"""Name and licence, as `skimage/data/_fetchers.py` says. PNG files alone, whose decoders agree to the bit; what says
nothing of its licence is left out."""


def read_photographs() -> dict[str, npt.NDArray[np.uint8]]:
    """(y, x) uint8 mean of the colours of every photograph, by name.

    Raises:
        ConfigError: scikit-image is not installed.
        DataError: A photograph is missing or cannot be read.
    """
    return {path.stem: _gray(path) for path in photograph_files()}


def photograph_files() -> list[Path]:
    """The file of every photograph, in order of their names.

    Raises:
        ConfigError: scikit-image is not installed.
    """
    # The package is not imported, which would take a second.
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise ConfigError(
            "the photographs are in the package scikit-image, which is not installed; pip install -e '.[mixed]'"
        )
    folder = Path(found.origin).parent / "data"
    return [folder / f"{name}.png" for name in sorted(PHOTOGRAPHS)]


def _gray(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            colours: npt.NDArray[np.uint8] = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: cannot be read ({error}); install scikit-image 0.24 or later again") from error
    if colours.ndim == 2:
        return colours
    return np.asarray(colours.sum(axis=2, dtype=np.uint16) // 3, np.uint8)
