"""Each bad file is refused in one clear line; odd but right files are read as they are."""

import threading
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from waiting import HANG_S

from mrikit.errors import DataError
from mrikit.volumes import find_volumes, open_volume, write_fastmri, write_snu
from tests.volumes.scans import assert_same_arrays, make_volume, without_reference


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good multi-coil fastMRI file, to be spoilt."""
    write_fastmri(tmp_path / "knee_1.h5", make_volume())
    return tmp_path / "knee_1.h5"


def overwrite(path: Path, key: str, value) -> None:
    with h5py.File(path, "r+") as file:
        if key in file:
            del file[key]
        if value is not None:
            file[key] = value


def message_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_missing_file(tmp_path):
    assert message_of(tmp_path / "a.h5") == "no such file"


def test_a_folder(tmp_path):
    assert message_of(tmp_path) == "a folder, not a file"


def test_a_file_that_is_not_hdf5(tmp_path):
    (tmp_path / "a.h5").write_text("403 Forbidden")
    assert message_of(tmp_path / "a.h5") == "not an HDF5 file (13 bytes); is the download complete?"


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_truncated_file(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert message_of(path) == "a truncated HDF5 file; copy it again"


def test_a_file_that_is_cut_after_it_was_opened(path):
    volume = open_volume(path)
    path.write_bytes(path.read_bytes()[: volume.kspace.start + 100])
    with pytest.raises(DataError, match=f"{path}: the file ends inside slice 1; is it truncated"):
        volume.kspace[1]


def test_a_file_that_vanishes_after_it_was_opened(path):
    volume = open_volume(path)
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: slice 0 cannot be read: No such file"):
        volume.kspace[0]


def test_an_image_only_file(path):
    overwrite(path, "kspace", None)
    assert message_of(path) == (
        "no dataset 'kspace' and no group with ISMRMRD 'xml' and 'data'; "
        "found ['ismrmrd_header', 'reconstruction_rss']. Is it an image-only file?"
    )


@pytest.mark.parametrize("shape", [(16, 11), (1, 3, 4, 16, 11), (0, 4, 16, 11)])
def test_kspace_of_another_rank(path, shape):
    overwrite(path, "kspace", np.zeros(shape, np.complex64))
    assert message_of(path) == (
        f"k-space has shape {shape}; (slice, coil, readout, phase) or (slice, readout, phase) is needed; "
        "`mrikit data import --axes` names others"
    )


def test_real_kspace(path):
    overwrite(path, "kspace", np.zeros((3, 4, 16, 11), np.float32))
    assert message_of(path) == "k-space is float32; complex values are needed. Is it a magnitude image?"


def test_a_reference_with_another_number_of_slices(path):
    overwrite(path, "reconstruction_rss", np.zeros((2, 8, 9), np.float32))
    assert message_of(path) == ("'reconstruction_rss' has 2 slices but k-space has 3; do the files belong together?")


def test_a_reference_that_is_no_image(path):
    overwrite(path, "reconstruction_rss", np.zeros((3, 8), np.float32))
    assert message_of(path) == "'reconstruction_rss' is <f4 of shape (3, 8); (slice, y, x) real values are needed"


def test_a_mask_of_another_width(path):
    overwrite(path, "mask", np.ones(12, bool))
    assert message_of(path) == (
        "the mask has shape (12,) but k-space has (readout, phase) (16, 11); "
        "a mask of shape (11,) or (16, 11) would fit"
    )


def test_a_header_that_is_an_array(path):
    overwrite(path, "ismrmrd_header", np.zeros(3))
    assert message_of(path) == "'ismrmrd_header' holds float64 of shape (3,); one text is needed"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j * np.inf])
def test_a_slice_with_nan_or_inf_names_file_and_slice(path, value):
    with h5py.File(path, "r+") as file:
        file["kspace"][1, 2, 3, 4] = value
        file["reconstruction_rss"][2, 3, 4] = abs(value)
    volume = open_volume(path)
    assert np.isfinite(volume.kspace[0]).all()
    assert np.isfinite(volume.reference[1]).all()
    with pytest.raises(DataError, match=f"{path}: slice 1 of kspace holds NaN or Inf"):
        volume.kspace[1]
    with pytest.raises(DataError, match=f"{path}: slice 2 of reconstruction_rss holds NaN or Inf"):
        list(volume.reference)


def test_large_finite_values_are_not_taken_for_inf(path):
    huge = np.full((1, 2, 16, 11), 3e38 + 3e38j, np.complex64)
    overwrite(path, "reconstruction_rss", None)
    overwrite(path, "kspace", huge)
    np.testing.assert_array_equal(open_volume(path).kspace[0], huge[0])


def test_slices_are_counted_from_both_ends_and_no_further(path):
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.kspace[-1], volume.kspace[2])
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            volume.kspace[beyond]


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [
        ({}, True),
        ({"chunks": (1, 4, 16, 11)}, True),
        ({"chunks": (1, 2, 16, 11)}, True),
        ({"chunks": (1, 1, 8, 11)}, True),
        ({"chunks": (1, 3, 16, 11)}, False),  # the last chunk of a slice is not whole
        ({"chunks": (2, 4, 16, 11)}, False),
        ({"chunks": (1, 4, 4, 4)}, False),
        ({"chunks": (1, 2, 4, 11)}, False),
        ({"chunks": (1, 2, 16, 11), "compression": "gzip"}, False),
        ({"chunks": (2, 3, 5, 4), "compression": "gzip"}, False),
        ({"chunks": (2, 3, 5, 4), "compression": "gzip", "shuffle": True}, False),
        ({"chunks": (2, 3, 5, 4), "compression": "gzip", "fletcher32": True}, False),
        ({"chunks": (1, 2, 16, 11), "compression": "lzf"}, False),
        ({"chunks": (1, 2, 16, 11), "shuffle": True}, False),
    ],
)
@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.dtype(">c8")])
def test_every_storage_layout_gives_the_same_slices(tmp_path, options, is_plain, userblock, dtype):
    kspace = make_volume().kspace.astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
        dataset = file.create_dataset("kspace", kspace.shape, dtype, **options)
        for slice_index in (2, 0, 1):
            dataset[slice_index] = kspace[slice_index]
    found = open_volume(tmp_path / "a.h5").kspace
    assert (found.start is not None or found.runs is not None) == is_plain
    np.testing.assert_array_equal(np.stack(list(found)), kspace.astype(np.complex64))
    assert found[0].dtype == np.complex64
    assert found[0].dtype.isnative


def test_chunks_that_were_never_written_are_zero(tmp_path):
    kspace = make_volume().kspace
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("kspace", kspace.shape, np.complex64, chunks=(1, 4, 16, 11))
        dataset[1] = kspace[1]
    found = open_volume(tmp_path / "a.h5").kspace
    np.testing.assert_array_equal(np.stack(list(found)), kspace * np.array([0, 1, 0])[:, None, None, None])


def test_chunks_that_are_neither_whole_nor_all_written_are_decoded(tmp_path):
    kspace = make_volume().kspace
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("kspace", kspace.shape, np.complex64, chunks=(1, 3, 16, 11))
        dataset[:2] = kspace[:2]  # four chunks of three coils hold as many values as three slices of four
    found = open_volume(tmp_path / "a.h5").kspace
    np.testing.assert_array_equal(np.stack(list(found)), kspace * np.array([1, 1, 0])[:, None, None, None])


def test_gzip_is_decompressed_without_the_lock_of_h5py(tmp_path, monkeypatch):
    kspace = make_volume().kspace
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", data=kspace, chunks=(1, 2, 16, 11), compression=4, shuffle=True)
    found = open_volume(tmp_path / "a.h5").kspace
    has_waited = []
    decompress = zlib.decompress

    def open_elsewhere(packed):
        other = threading.Thread(target=open_volume, args=(tmp_path / "a.h5",), daemon=True)
        other.start()
        other.join(timeout=HANG_S)
        has_waited.append(other.is_alive())
        return decompress(packed)

    monkeypatch.setattr(zlib, "decompress", open_elsewhere)
    np.testing.assert_array_equal(found[1], kspace[1])
    assert has_waited == [False, False]


def test_compressed_chunks_that_were_never_written_are_zero(tmp_path):
    kspace = make_volume().kspace
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("kspace", kspace.shape, np.complex64, chunks=(1, 2, 16, 11), compression=4)
        dataset[1, :2] = kspace[1, :2]
    found = open_volume(tmp_path / "a.h5").kspace
    assert not found[0].any()
    np.testing.assert_array_equal(found[1][:2], kspace[1, :2])
    assert not found[1][2:].any()


def test_a_damaged_compressed_slice_names_file_and_slice(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("kspace", (2, 1, 64, 64), np.complex64, chunks=(1, 1, 64, 64), compression=4)
        dataset[:] = make_volume(2, 1, (64, 64), padding=(0, 64)).kspace
        start = dataset.id.get_chunk_info(1).byte_offset
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[start + 50 : start + 90] = bytes(40)
    (tmp_path / "a.h5").write_bytes(content)
    volume = open_volume(tmp_path / "a.h5")
    assert volume.kspace[0].shape == (1, 64, 64)
    with pytest.raises(DataError, match="slice 1 of kspace cannot be decoded"):
        volume.kspace[1]


def test_the_anatomy_follows_from_the_protocol_where_the_header_is_silent(tmp_path):
    for protocol, anatomy in {"AXFLAIR": "brain", "CORPD_FBK": "knee", "SAGT1": None}.items():
        write_fastmri(tmp_path / "a.h5", make_volume(anatomy=None, acquisition=protocol))
        assert open_volume(tmp_path / "a.h5").info.anatomy == anatomy


def test_single_coil_files_with_both_references_give_the_single_coil_one(tmp_path):
    volume = make_volume(num_coils=1)
    path = tmp_path / "a.h5"
    write_fastmri(path, volume)
    overwrite(path, "reconstruction_rss", np.ones((3, 8, 9), np.float32))
    assert_same_arrays(open_volume(path), volume)
    overwrite(path, "reconstruction_esc", None)
    assert open_volume(path).reference[0].min() == 1


def test_acquired_columns_beyond_the_array_are_cut_off(tmp_path):
    write_fastmri(tmp_path / "a.h5", without_reference(make_volume(matrix=(16, 12), padding=(0, 12))))
    overwrite(tmp_path / "a.h5", "kspace", np.zeros((3, 4, 16, 11), np.complex64))
    assert open_volume(tmp_path / "a.h5").info.padding == (0, 11)


def test_an_snu_file_without_its_image_has_no_reference(tmp_path):
    volume = make_volume(mask=np.ones(11, bool), padding=(0, 11))
    write_snu(tmp_path, "other_1", volume, image_grappa=np.asarray(volume.reference))
    (tmp_path / "image" / "other_1.h5").unlink()
    found = open_volume(tmp_path / "kspace" / "other_1.h5")
    assert_same_arrays(found, without_reference(volume))
    assert (found.info.anatomy, found.info.recon_matrix) == (None, (16, 11))


def test_an_snu_image_without_a_reference_tells_the_window(tmp_path):
    volume = make_volume(mask=np.ones(11, bool), padding=(0, 11))
    write_snu(tmp_path, "knee_1", volume, image_grappa=np.asarray(volume.reference))
    overwrite(tmp_path / "image" / "knee_1.h5", "image_label", None)
    found = open_volume(tmp_path / "kspace" / "knee_1.h5")
    assert (found.reference, found.info.recon_matrix) == (None, (8, 9))


@pytest.mark.parametrize("num_coils", [None, 3])
@pytest.mark.parametrize("mask", [np.arange(11) % 3 == 0, np.random.default_rng(1).random((16, 11)) < 0.4])
def test_an_snu_mask_is_only_planned_unless_kspace_is_zero_outside_it(tmp_path, mask, num_coils):
    full = make_volume(num_coils=num_coils or 1, padding=(0, 11)).kspace
    for name, kspace, applied, planned in (("train", full, None, mask), ("leaderboard", full * mask, mask, None)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["kspace"] = kspace if num_coils else kspace[:, 0]
            file["mask"] = mask.astype(np.float32)
        found = open_volume(tmp_path / f"{name}.h5")
        np.testing.assert_array_equal(found.mask, applied)
        np.testing.assert_array_equal(found.planned_mask, planned)


def test_an_snu_file_without_a_mask_has_no_planned_one(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = make_volume().kspace
    found = open_volume(tmp_path / "a.h5")
    assert found.mask is found.planned_mask is None


def test_an_snu_image_that_does_not_belong_is_named(tmp_path):
    volume = make_volume(mask=np.ones(11, bool))
    write_snu(tmp_path, "knee_1", volume, image_grappa=np.asarray(volume.reference))
    overwrite(tmp_path / "image" / "knee_1.h5", "image_label", np.zeros((2, 8, 9), np.float32))
    message = message_of(tmp_path / "kspace" / "knee_1.h5")
    assert message.startswith(f"its image file {tmp_path / 'image' / 'knee_1.h5'}: 'image_label' has 2 slices")


def test_links_to_a_folder_on_the_way_are_not_followed_round(tmp_path):
    write_fastmri(tmp_path / "data" / "deep" / "a.h5", make_volume())
    write_fastmri(tmp_path / "more" / "b.h5", make_volume())
    (tmp_path / "data" / "self").symlink_to(".")
    (tmp_path / "data" / "deep" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "more")
    (tmp_path / "more" / "back").symlink_to(tmp_path / "data")
    assert find_volumes(tmp_path / "data") == [tmp_path / "data" / name for name in ("deep/a.h5", "linked/b.h5")]


def test_find_volumes_leaves_out_images_reconstructions_and_hidden_files(tmp_path):
    volume = make_volume(mask=np.ones(11, bool))
    write_snu(tmp_path / "snu", "knee_1", volume, image_grappa=np.asarray(volume.reference))
    write_fastmri(tmp_path / "b" / "image" / "brain_2.h5", volume)  # a folder of this name alone means nothing
    write_fastmri(tmp_path / "a.h5", volume)
    for hidden in (".a.123.tmp.h5", ".cache/c.h5"):
        write_fastmri(tmp_path / hidden, volume)
    with h5py.File(tmp_path / "recon.h5", "w") as file:
        file["reconstruction"] = np.zeros((3, 8, 9))
    (tmp_path / "broken.h5").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    expected = ["a.h5", "b/image/brain_2.h5", "broken.h5", "snu/kspace/knee_1.h5"]
    assert find_volumes(tmp_path) == [tmp_path / name for name in expected]
    assert find_volumes(tmp_path / "a.h5") == [tmp_path / "a.h5"]


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"no volume in this folder or below; looked for .*\.h5, \.hdf5, \.mrd, \.cfl"):
        find_volumes(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        find_volumes(tmp_path / "nowhere")


def test_a_reconstruction_is_not_a_volume(tmp_path):
    with h5py.File(tmp_path / "recon.h5", "w") as file:
        file["reconstruction"] = np.zeros((3, 8, 9))
    assert message_of(tmp_path / "recon.h5") == (
        "a reconstruction, not k-space; found ['reconstruction']. Open it with `read_reconstruction`"
    )


def test_text_attributes_of_fixed_length_are_text(tmp_path):
    path = tmp_path / "a.h5"
    write_fastmri(path, replace(make_volume(acquisition=None, patient_id=None)))
    with h5py.File(path, "r+") as file:
        file.attrs["acquisition"] = np.bytes_("AXT2")
        file.attrs["patient_id"] = ["p"]
    info = open_volume(path).info
    assert (info.acquisition, info.patient_id) == ("AXT2", "p")


def test_attributes_that_are_numbers_are_text(path):
    with h5py.File(path, "r+") as file:
        file.attrs["patient_id"], file.attrs["acquisition"] = 7, 2.5
    info = open_volume(path).info
    assert (info.patient_id, info.acquisition) == ("7", "2.5")


@pytest.mark.parametrize("empty", [h5py.Empty("f4"), h5py.Empty("S4"), np.zeros(0)])
def test_empty_attributes_are_as_good_as_none(path, empty):
    with h5py.File(path, "r+") as file:
        for name in ("patient_id", "acquisition", "max"):
            file.attrs[name] = empty
    info = open_volume(path).info
    assert (info.patient_id, info.acquisition, info.reference_max) == ("p<17>&", None, None)  # the id of the header


@pytest.mark.parametrize("acceleration", [4, 4.0, np.int64(4), "4"])
def test_a_test_file_says_how_its_mask_was_drawn(path, acceleration):
    with h5py.File(path, "r+") as file:
        file.attrs["acceleration"], file.attrs["num_low_frequency"] = acceleration, np.int64(26)
    info = open_volume(path).info
    assert (info.acceleration, info.num_center_lines) == (4.0, 26)


def test_a_number_of_0_is_as_good_as_none(path):
    with h5py.File(path, "r+") as file:
        file.attrs["acceleration"], file.attrs["num_low_frequency"] = 0, 0
    info = open_volume(path).info
    assert (info.acceleration, info.num_center_lines) == (None, None)


@pytest.mark.parametrize("name", ["acceleration", "num_low_frequency"])
@pytest.mark.parametrize("value", ["four", -4, 0.5, float("inf"), float("nan")])
def test_a_number_that_no_mask_has_is_named(path, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    assert message_of(path) == f"the attribute '{name}' is {value!r}; a number from 1 is needed, or none"
