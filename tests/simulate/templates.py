"""A head of six classes in a tiny NIfTI file."""

import nibabel as nib
import numpy as np

SIZE = (25, 30, 25)
VOXEL_MM = 7.5
FIRST_MM = (-90.0, -126.0, -72.0)


def head(size=SIZE):
    """(x, y, z, class) probabilities of nested ellipsoids about the middle of MNI space's box."""
    place = np.meshgrid(*(FIRST_MM[axis] + VOXEL_MM * np.arange(size[axis]) for axis in range(3)), indexing="ij")
    x, y, z = place
    radius = np.sqrt((x / 70) ** 2 + ((y + 18) / 85) ** 2 + ((z - 20) / 75) ** 2)
    borders = {0: (0.6, 0.85), 1: (0.2, 0.6), 2: (0, 0.2), 3: (0.85, 1.0), 4: (1.0, 1.1)}
    classes = np.stack([(radius >= low) & (radius < high) for low, high in borders.values()], axis=-1)
    return np.concatenate([classes, ~classes.any(-1, keepdims=True)], axis=-1).astype(np.float32)


def write_template(path, classes=None, affine=None):
    """The file, in MNI space unless another affine is given."""
    if affine is None:
        affine = np.diag([VOXEL_MM] * 3 + [1.0])
        affine[:3, 3] = FIRST_MM
    nib.save(nib.Nifti1Image(head() if classes is None else classes, affine), path)
    return path
