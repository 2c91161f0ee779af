"""An average head as six tissue probabilities, 1.5 mm: from nilearn's files, or from one of one's own."""

import importlib.util
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from mrikit.errors import ConfigError, DataError
from mrikit.simulate.shapes import FloatArray

CLASSES = ("gray_matter", "white_matter", "csf", "skull", "scalp", "air")
"""In the order of SPM's `TPM.nii`."""
SHAPE = (121, 145, 121)
"""(x, y, z) voxels."""
VOXEL_MM = 1.5
FIRST_MM = (-90.0, -126.0, -72.0)
"""Place of voxel (0, 0, 0): right, front and head are positive (RAS), as in MNI space."""

_FILES = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_FULL, _FAINT = np.float32(255), 2.0  # the files are uint8
_FLUID_MM, _SKULL_MM, _SCALP_MM = 1.0, 7.0, 13.0  # outer borders of what lies around the brain, which is bald


def read_template(path: Path | None = None) -> FloatArray:
    """The template of a file, or the ICBM152 average of nilearn.

    Args:
        path: A NIfTI file with six classes; None for nilearn's grey and white matter, from which fluid, skull and scalp
            are derived.

    Returns:
        (class, x, y, z) float32 probabilities that add up to 1, on the grid that the constants of this module say.

    Raises:
        ConfigError: nilearn is not installed.
        DataError: The file cannot be read, has other classes, or lies elsewhere.

    Source:
        Fonov et al., Unbiased nonlinear average age-appropriate brain templates, NeuroImage 47:S102 (2009).
    """
    if path is not None:
        return _with_air(_six_classes(path))
    folder = _nilearn_folder()
    gray, white, image = (_resampled(*_load(folder / _FILES.format(name))) for name in ("gm", "wm", "t1"))
    # The image is zero outside the skull's inside.
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(image + gray + white > _FAINT, iterations=2))
    return _with_air(_around(gray / _FULL, white / _FULL, np.asarray(inside)))


def _around(gray: FloatArray, white: FloatArray, inside: npt.NDArray[np.bool_]) -> FloatArray:
    """The first five classes, from the two that are known and the inside of the skull."""
    distance = ndimage.distance_transform_edt(~inside, sampling=VOXEL_MM) - ndimage.distance_transform_edt(
        inside, sampling=VOXEL_MM
    )
    # Distances between voxels have steps.
    distance = ndimage.gaussian_filter(distance.astype(np.float32), 1.0)
    fluid, skull, scalp = (
        np.clip(0.5 - (distance - edge) / VOXEL_MM, 0, 1) for edge in (_FLUID_MM, _SKULL_MM, _SCALP_MM)
    )
    matter = gray + white
    over = np.maximum(matter, 1)
    csf = np.clip(fluid - matter, 0, 1)
    return np.stack([gray / over, white / over, csf, skull - fluid, scalp - skull]).astype(np.float32)


def _with_air(classes: FloatArray) -> FloatArray:
    """Six classes that add up to 1 everywhere; what is missing is air."""
    known = np.clip(classes[:5], 0, 1)
    total = known.sum(0)
    known = known / np.maximum(total, 1)
    return np.concatenate([known, np.maximum(1 - known.sum(0, keepdims=True), 0)]).astype(np.float32)


def _six_classes(path: Path) -> FloatArray:
    array, affine = _load(path)
    if array.ndim != 4 or array.shape[3] != len(CLASSES):
        found = " x ".join(map(str, array.shape))
        raise DataError(
            f"{path}: a template is x, y, z and six classes ({', '.join(CLASSES)}), found {found}; SPM's "
            "TPM.nii would do"
        )
    classes = np.stack([_resampled(array[..., number], affine) for number in range(len(CLASSES))])
    if not np.isfinite(classes).all() or classes[:5].max() < 0.1 or classes.max() > 1.01:
        raise DataError(
            f"{path}: no probabilities from 0 to 1 where a head lies in MNI space; found {classes.min():.3g} to "
            f"{classes.max():.3g}; is it in that space, and its affine right?"
        )
    return classes


def _load(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Voxels and what takes them to millimetres."""
    try:
        image: Any = nib.load(path)
        voxels, affine = np.asarray(image.dataobj), np.asarray(image.affine)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: no NIfTI file that can be read ({reason}); name a .nii or .nii.gz") from error
    if not np.isfinite(affine).all() or not np.linalg.det(affine):
        raise DataError(f"{path}: its affine maps voxels to no place in space; take the file as SPM wrote it")
    return voxels, affine


def _resampled(array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> FloatArray:
    """(x, y, z) float32 on the template's grid, linear between voxels, 0 outside."""
    grid = np.diag([VOXEL_MM] * 3 + [1.0])
    grid[:3, 3] = FIRST_MM
    matrix = np.linalg.inv(affine) @ grid
    steps = matrix[:3, :3]
    is_straight = np.count_nonzero(steps - np.diag(steps.diagonal())) == 0
    found = ndimage.affine_transform(
        array.astype(np.float32),
        steps.diagonal() if is_straight else steps,  # a tenth of the time
        matrix[:3, 3],
        output_shape=SHAPE,
        output=np.float32,
        order=1,
    )
    return np.asarray(found, np.float32)


def _nilearn_folder() -> Path:
    """Where nilearn lies; it is not imported, which would take seconds."""
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise ConfigError(
            "the average brain is in the package nilearn, which is not installed; pip install -e '.[brain]', or name "
            "a TPM.nii with --template"
        )
    return Path(found.origin).parent
