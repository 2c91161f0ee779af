"""Random volumes whose every fact is known."""

from dataclasses import fields, replace

import numpy as np

from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.geometry import Geometry

MASK_FACTS = ["acceleration", "num_center_lines"]
"""What test files of fastMRI say of their mask."""
_NOT_RAW = ("volume_id", "source", "reference_max", *MASK_FACTS)
RAW_FACTS = [field.name for field in fields(ScanInfo) if field.name not in _NOT_RAW]
"""Facts that raw data can hold; the maximum belongs to the reference."""


def make_volume(
    num_slices=3, num_coils=4, matrix=(16, 11), recon_matrix=(8, 9), padding=None, mask=None, seed=0, **facts
) -> Volume:
    """Noise with all facts set; k-space is zero where it was not acquired."""
    rng = np.random.default_rng(seed)
    padding = padding or (1, matrix[1] - 2)
    kspace = rng.standard_normal((num_slices, num_coils, *matrix, 2)).astype(np.float32).view(np.complex64)[..., 0]
    kspace[..., : padding[0]] = 0
    kspace[..., padding[1] :] = 0
    if mask is not None:
        kspace = np.where(mask, kspace, np.complex64(0))
    known = {
        "volume_id": "knee_1",
        "patient_id": "p<17>&",
        "anatomy": "knee",
        "acquisition": "CORPDFS_FBK",
        "field_strength_t": 2.8936,
        "system": "Skyra",
        "fov_mm": (320.1, 160.0 / 3),
        **facts,
    }
    if known["fov_mm"]:  # what a header says of the image's place
        pixel_mm = (known["fov_mm"][0] / matrix[0], known["fov_mm"][1] / matrix[1])
        known = {"geometry": Geometry(pixel_mm=pixel_mm, slice_thickness_mm=3.3), **known}
    info = ScanInfo(matrix=matrix, recon_matrix=recon_matrix, padding=padding, **known)
    reference = rng.random((num_slices, *recon_matrix)).astype(np.float32)
    return Volume(kspace=kspace, reference=reference, mask=mask, info=info)


def without_reference(volume: Volume) -> Volume:
    """As test data are: raw data alone."""
    return replace(volume, reference=None)


def assert_same_arrays(found: Volume, expected: Volume) -> None:
    """Bit for bit the same k-space, reference and masks."""
    assert found.kspace.shape == expected.kspace.shape
    np.testing.assert_array_equal(np.stack(list(found.kspace)), np.asarray(expected.kspace))
    assert found.kspace[0].dtype == np.complex64
    for name in ("reference", "mask", "planned_mask"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(np.stack(list(one)), np.asarray(other))


def assert_same_facts(found: ScanInfo, expected: ScanInfo, names: list[str]) -> None:
    assert {name: getattr(found, name) for name in names} == {name: getattr(expected, name) for name in names}
