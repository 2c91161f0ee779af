"""Viewer: all slices of one volume, to scroll through in the browser.

The page holds NiiVue (see niivue.LICENSE), which shows small NIfTI files that lie in the page too. A browser without
WebGL2 shows the plain picture of one slice.
"""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import nibabel as nib
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.evaluate import Pair, read_pair
from mrikit.report.collect import ReconFolder
from mrikit.report.panels import WHITE_QUANTILE, ZERO_FILLED, Panel, error_gain, sources_of
from mrikit.report.tables import Section
from mrikit.runs.picture import levels
from mrikit.storage import recorded_location

MAX_VOXELS = 40_000_000
"""Of all images of a viewer together, errors too: about 40 MB of the page. Runs beyond that are left out, the worst
first."""
_HEADROOM = 1.5  # brightest value that is kept, in white levels, so that the window can be widened


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewerImage:
    """One image of the volume."""

    name: str
    """`reference`, or the label of a run."""
    image: str
    """(x, y, slice) uint8 of 0 to `_HEADROOM` white levels: a compressed NIfTI file as base64."""
    error: str | None = None
    """The amount of its error, 255 at white level / `error_gain`; None for the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """One volume in all its reconstructions."""

    volume_id: str
    slice_index: int
    """Slice to begin with."""
    num_slices: int
    size: tuple[int, int]
    """(y, x) of a slice."""
    images: tuple[ViewerImage, ...]
    error_gain: int
    """By how much errors are brighter than images."""
    white: int
    """The level of white of an image."""
    absent: tuple[str, ...]
    """Runs for which the page has no room."""
    picture: str
    """Data URI of the slice, for a browser that cannot show the others."""


def make_viewer(section: Section, folders: Sequence[ReconFolder], panel: Panel) -> Viewer | None:
    """The volume of a panel in all slices, by the runs of its section, best first; None if its files are gone."""
    labels = [line.summary.label for line in section.lines]
    sources = [source for source in sources_of(section, folders) if source.row.volume_id == panel.volume_id]
    sources = [source for source in sources if source.row.path == sources[0].row.path]
    pairs, absent, num_voxels = dict[str, Pair](), list[str](), 0
    try:
        for source in sorted(sources, key=lambda source: labels.index(source.row.label)):
            # An image and its error for each run and the zero-filled one, and the reference.
            if pairs and (2 * (len(pairs) + 2) + 1) * num_voxels > MAX_VOXELS:
                absent.append(source.row.label)
                continue
            pair = read_pair(recorded_location(source.row.path), source.file, source.row.volume_id)
            if pairs and pair.image.size != num_voxels:
                absent.append(source.row.label)  # at another matrix
                continue
            pairs[source.row.label], num_voxels = pair, pair.image.size
    except DataError:
        return None  # the panel says why
    best = next(iter(pairs.values()))
    if best.reference is None or panel.problem is not None:
        return None
    top = float(np.quantile(best.reference, WHITE_QUANTILE))
    gain = error_gain(best.image - best.reference, top)
    images = {label: pair.image for label, pair in pairs.items()} | {ZERO_FILLED: best.zero_filled}
    return Viewer(
        volume_id=panel.volume_id,
        slice_index=panel.slice_index,
        num_slices=len(best.reference),
        size=(best.reference.shape[1], best.reference.shape[2]),
        images=(
            ViewerImage(name="reference", image=_nifti(best.reference, _HEADROOM * top)),
            *(
                ViewerImage(
                    name=label,
                    image=_nifti(image, _HEADROOM * top),
                    error=_nifti(np.abs(image - best.reference), top / gain),
                )
                for label, image in images.items()
            ),
        ),
        error_gain=gain,
        white=round(255 / _HEADROOM),
        absent=tuple(absent),
        picture=panel.pictures[-1].image,
    )


def niivue() -> str:
    """NiiVue's program, compressed, as base64."""
    return base64.b64encode(resources.files("mrikit.report").joinpath("niivue.js.gz").read_bytes()).decode()


def _nifti(image: npt.NDArray[np.float32], top: float) -> str:
    """(slice, y, x) from 0 to `top` as uint8; y downwards as in a picture."""
    # NIfTI counts y upwards.
    volume = np.ascontiguousarray(np.flip(levels(image, top), 1).transpose(2, 1, 0))
    return base64.b64encode(gzip.compress(nib.Nifti1Image(volume, np.eye(4)).to_bytes(), 6, mtime=0)).decode()
