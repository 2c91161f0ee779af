"""Every defect that only the slices show, put into a real file."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from phantoms import make_volume

from mrikit.check.slices import check_slices
from mrikit.errors import StorageError
from mrikit.volumes import open_volume, open_volumes, write_fastmri, write_ismrmrd, write_snu
from mrikit.volumes.raw import open_array, raw_volumes
from mrikit.volumes.sampling import find_sampling
from tests.volumes.public.sets import KSPACE as PROSTATE
from tests.volumes.public.sets import alternating, write_prostate


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file1000001.h5"
    write_fastmri(path, make_volume(num_slices=5))
    return path


def found(path):
    """Severity, kind and words of every finding."""
    findings = check_slices("a.h5", open_volume(path))
    assert all(finding.files == ("a.h5",) for finding in findings)
    return [(finding.severity, finding.kind, finding.what) for finding in findings]


def kinds(path):
    return [kind for _, kind, _ in found(path)]


def change(path, **arrays):
    """Apply a function to each named dataset of the file."""
    with h5py.File(path, "r+") as file:
        for key, function in arrays.items():
            values = file[key][()]
            function(values)
            file[key][...] = values


def test_a_good_volume_gives_no_finding_and_tells_of_every_slice(path):
    seen = []
    assert check_slices("a.h5", open_volume(path), lambda: seen.append(1)) == []
    assert len(seen) == 5


@pytest.mark.parametrize("num_coils", [1, 4])
def test_reference_of_one_coil_and_of_many_are_compared(tmp_path, num_coils):
    write_fastmri(tmp_path / "a.h5", make_volume(num_coils=num_coils))
    assert found(tmp_path / "a.h5") == []
    key = "reconstruction_esc" if num_coils == 1 else "reconstruction_rss"
    change(tmp_path / "a.h5", **{key: lambda values: values.__setitem__(0, values[0].T[:40, :40].repeat(2, 1)[:, :44])})
    assert "reference_differs" in kinds(tmp_path / "a.h5")


def test_nan_is_told_with_its_slices_in_short(path):
    def spoil(values):
        values[[0, 2, 3, 4], 1, 5, 7] = np.nan

    change(path, kspace=spoil)
    assert found(path) == [("error", "not_finite", "slices 0, 2-4 of k-space: NaN or Inf")]


def test_infinity_in_the_reference_is_told_too(path):
    change(path, reconstruction_rss=lambda values: values.__setitem__((1, 3, 3), np.inf))
    assert found(path) == [("error", "not_finite", "slice 1 of the reference: NaN or Inf")]


def test_nan_in_an_mrd_file_is_told_too(tmp_path):
    volume = make_volume(num_slices=3)
    kspace = volume.kspace.copy()
    kspace[1, 0, 2, 3] = np.nan
    write_ismrmrd(tmp_path / "a.mrd", replace(volume, kspace=kspace))
    assert found(tmp_path / "a.mrd") == [("error", "not_finite", "slice 1 of k-space: NaN or Inf")]


def test_a_zero_slice_is_told_once_for_each_array(path):
    change(
        path,
        kspace=lambda values: values.__setitem__(3, 0),
        reconstruction_rss=lambda values: values.__setitem__(slice(0, 2), 0),
    )
    told = found(path)
    assert ("error", "zero", "slice 3 of k-space: zero everywhere") in told
    assert ("error", "zero", "slices 0-1 of the reference: zero everywhere") in told
    assert len(told) == 2


def test_the_reference_of_another_slice_is_told_with_its_error(path):
    def swap(values):
        values[[1, 2]] = values[[2, 1]] + 0.1

    change(path, reconstruction_rss=swap)
    ((severity, kind, what), *_) = found(path)
    assert (severity, kind) == ("error", "reference_differs")
    assert what.startswith("slices 1-2: the stored reconstruction is not that of k-space, relative error up to 0.")


def test_a_reference_in_another_scale_is_called_so(path):
    def scale(values):
        values *= 2.5

    change(path, reconstruction_rss=scale)
    told = {kind: what for _, kind, what in found(path)}
    assert told["reference_differs"] == (
        "slices 0-4: the stored reconstruction is not that of k-space, relative error up to 0.6; it is the same image "
        "times 2.5"
    )


@pytest.mark.parametrize(("error", "is_told"), [(5e-4, False), (2e-3, True)])
def test_a_difference_counts_from_one_in_a_thousand(path, error, is_told):
    def spoil(values):
        noise = np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)
        noise[values.argmax() == np.arange(values.size).reshape(values.shape)] = 0
        values += noise * error * np.linalg.norm(values) / np.linalg.norm(noise)

    change(path, reconstruction_rss=spoil)
    assert ("reference_differs" in kinds(path)) == is_told


def test_a_reference_stored_once_as_half_floats_is_good(path):
    change(path, reconstruction_rss=lambda values: values.__setitem__(..., values.astype(np.float16)))
    assert "reference_differs" not in kinds(path)


def test_a_wrong_maximum_is_told_with_both(path):
    with h5py.File(path, "r+") as file:
        largest = file.attrs["max"]
        file.attrs["max"] = largest * 1.001
    what = f"the attribute 'max' is {largest * 1.001:.6g}, but the largest value of the reference is {largest:.6g}"
    assert found(path) == [("error", "max_differs", what)]


def test_a_maximum_rounded_to_six_digits_is_good(path):
    with h5py.File(path, "r+") as file:
        file.attrs["max"] = float(f"{file.attrs['max']:.6g}")
    assert found(path) == []


def test_columns_that_are_zero_without_a_mask_are_told(path):
    change(path, kspace=lambda values: values.__setitem__((..., [3, 50, 51, 52]), 0))
    severity, kind, what = found(path)[-1]
    assert (severity, kind) == ("warning", "undersampled")
    assert what.startswith("columns 3, 50-52 of the acquired 0-59 are exactly zero in every slice and coil, but")


def test_points_that_are_zero_without_a_mask_are_told(tmp_path):
    volume = make_volume()
    points = np.random.default_rng(0).random(volume.info.matrix) < 0.5
    kspace = np.where(points, volume.kspace, np.complex64(0))
    write_fastmri(tmp_path / "a.h5", replace(volume, kspace=kspace, reference=None))
    assert found(tmp_path / "a.h5")[0][2].startswith("49% of the acquired samples are exactly zero")


def test_zero_columns_beside_the_acquired_ones_are_good(tmp_path):
    volume = make_volume()
    kspace = volume.kspace.copy()
    kspace[..., :6] = kspace[..., 55:] = 0
    info = replace(volume.info, padding=(6, 55), reference_max=None)
    write_fastmri(tmp_path / "a.h5", replace(volume, kspace=kspace, reference=None, info=info))
    assert found(tmp_path / "a.h5") == []


def test_a_volume_with_a_mask_has_nothing_to_be_compared_with(tmp_path):
    lines = np.arange(60) % 4 == 0
    volume = make_volume(mask=lines)
    reference = make_volume().reference
    info = replace(volume.info, reference_max=float(reference.max()))
    write_snu(tmp_path, "knee_test1", replace(volume, reference=reference, info=info), image_grappa=reference)
    assert found(tmp_path / "kspace" / "knee_test1.h5") == []


def test_a_mask_that_is_only_planned_leaves_the_reference_to_be_compared(tmp_path):
    volume = replace(make_volume(), planned_mask=np.arange(60) % 4 == 0)
    write_snu(tmp_path, "knee_acc4_1", volume, image_grappa=volume.reference)
    path = tmp_path / "kspace" / "knee_acc4_1.h5"
    assert found(path) == []
    change(tmp_path / "image" / "knee_acc4_1.h5", image_label=lambda values: values.__setitem__(0, values[0][::-1]))
    assert kinds(path) == ["reference_differs"]


def test_the_rss_image_in_a_single_coil_file_is_of_all_coils_and_not_compared(tmp_path):
    write_fastmri(tmp_path / "a.h5", make_volume(num_coils=1))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.move("reconstruction_esc", "reconstruction_rss")
        file["reconstruction_rss"][...] += 1
        file.attrs["max"] += 1
    assert found(tmp_path / "a.h5") == []


def test_a_slice_that_cannot_be_decoded_is_told_with_the_reason(tmp_path):
    path = tmp_path / "a.h5"
    write_fastmri(path, make_volume(num_slices=3))
    with h5py.File(path, "r+") as file:
        values = file["kspace"][()]
        del file["kspace"]
        file.create_dataset("kspace", data=values, chunks=(1, *values.shape[1:]), compression="gzip")
        start = file["kspace"].id.get_chunk_info(1).byte_offset
    with path.open("r+b") as raw:
        raw.seek(start + 1000)
        raw.write(b"\xff" * 64)
    ((severity, kind, what),) = found(path)
    assert (severity, kind) == ("error", "unreadable")
    assert what.startswith("slice 1 of k-space cannot be read: slice 1 of kspace cannot be decoded")


def test_a_file_that_ends_too_early_after_it_was_opened_is_told(path):
    volume = open_volume(path)
    with path.open("r+b") as raw:
        raw.truncate(volume.kspace.start + 10)
    (finding, *_) = check_slices("a.h5", volume)
    assert (finding.severity, finding.kind) == ("error", "unreadable")
    assert finding.what.startswith("slices 0-4 of k-space cannot be read: the file ends inside slice 0")


def test_a_network_that_fails_is_not_a_finding():
    class Unreachable:
        shape = (2, 6, 64, 60)

        def __len__(self):
            return 2

        def __getitem__(self, slice_index):
            raise StorageError("az://data/a.h5: no answer")

    with pytest.raises(StorageError, match="no answer"):
        check_slices("a.h5", replace(make_volume(), kspace=Unreachable()))


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("ucsf_knee_coronal_fatsat_singlecoil.mat", ("phase", "readout")),
        ("ucsf_head_se_t1_sag_singlecoil.mat", ("phase", "readout")),
        ("cloudmr_phantom_16coil_signal.npy", ("readout", "phase", "coil")),
        ("sigpy_brain_8coil_us8x.npy", ("coil", "readout", "phase")),
    ],
)
def test_real_scanner_data_with_a_reference_in_double_precision_are_good(real_data, tmp_path, name, axes):
    with open_array(real_data / name) as stored:
        (raw,) = raw_volumes(stored, axes).values()
        kspace = np.stack(list(raw))
    region, mask = find_sampling(kspace)
    window = (kspace.shape[2] // 2, kspace.shape[3] - 20)
    info = replace(make_volume().info, matrix=kspace.shape[2:], recon_matrix=window, padding=region.columns)
    images = np.fft.ifft2(np.fft.ifftshift(kspace.astype(np.complex128), (-2, -1)), norm="ortho")
    image = np.sqrt((np.abs(np.fft.fftshift(images, (-2, -1))) ** 2).sum(1))
    top, left = ((full - part) // 2 for full, part in zip(info.matrix, window, strict=True))
    reference = image[:, top : top + window[0], left : left + window[1]].astype(np.float32)
    info = replace(info, reference_max=float(reference.max()))
    reference = reference if mask is None else None
    write_fastmri(tmp_path / "a.h5", replace(make_volume(), kspace=kspace, reference=reference, mask=mask, info=info))
    assert found(tmp_path / "a.h5") == []


def misplaced(tmp_path, move):
    volume = make_volume(num_slices=2)
    moved = move(np.stack(list(volume.kspace)))
    write_fastmri(tmp_path / "a.h5", replace(volume, kspace=moved, reference=None))
    return found(tmp_path / "a.h5")


def test_energy_in_the_middle_gives_no_finding(tmp_path):
    assert misplaced(tmp_path, lambda kspace: np.roll(kspace, (1, -2), (-2, -1))) == []


def test_energy_beside_the_middle_is_found(tmp_path):
    assert misplaced(tmp_path, lambda kspace: np.roll(kspace, 12, -1)) == [
        ("error", "center_differs", "the energy of k-space has its peak at phase 42 instead of 30 of 60")
    ]


def test_a_spike_does_not_move_the_energy(tmp_path):
    def spoil(kspace):
        kspace[0, :, 5, 7] = 1e5
        return kspace

    assert misplaced(tmp_path, spoil) == []


def test_kspace_with_its_centre_in_the_corner_is_found(tmp_path):
    [(severity, kind, what)] = misplaced(tmp_path, lambda kspace: np.fft.ifftshift(kspace, axes=(-2, -1)))
    assert (severity, kind) == ("error", "center_differs")
    assert what.startswith("the k-space centre lies in the corner")


def test_a_reference_of_averages_is_not_compared_with_their_mean(tmp_path):
    reference = np.ones((len(PROSTATE), 12, 12), np.float32)
    path = write_prostate(
        tmp_path / "a.h5", alternating(0, 1, 0), calibration_data=PROSTATE[..., 8:16], reconstruction_rss=reference
    )
    (volume,) = open_volumes(path)
    assert volume.reference is not None
    assert "reference_differs" not in [finding.kind for finding in check_slices("a.h5", volume)]
