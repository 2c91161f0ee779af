"""MRD files as scanners' converters write them, made with the ismrmrd package itself."""

from dataclasses import replace

import ismrmrd
import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volume
from mrikit.volumes.header import make_header, read_header
from tests.volumes.mrd import header
from tests.volumes.scans import make_volume

READOUT, PHASE, CENTER = 8, 10, 3
INFO = make_volume(matrix=(READOUT, PHASE), padding=(PHASE // 2 - CENTER, 9)).info
HEADER = make_header(INFO, num_coils=2, num_slices=2)


def acquisition(line, slice_index=0, value=None, *, average=0, num_samples=READOUT, center=READOUT // 2, flag=None):
    one = ismrmrd.Acquisition()
    one.resize(num_samples, 2)
    one.center_sample = center
    one.idx.kspace_encode_step_1 = line
    one.idx.slice = slice_index
    one.idx.average = average
    one.data[:] = 100 * slice_index + line + 1 if value is None else value
    if flag:
        one.set_flag(flag)
    return one


def write(path, acquisitions, header=HEADER):
    with ismrmrd.Dataset(str(path)) as dataset:
        dataset.write_xml_header(header.encode())
        for one in acquisitions:
            dataset.append_acquisition(one)
    return path


def full(num_slices=2, **options):
    """All lines of the header, last first, slices interleaved."""
    return [acquisition(line, number, **options) for line in range(6, -1, -1) for number in range(num_slices)]


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_lines_in_any_order_come_to_their_slice_and_column(tmp_path):
    volume = open_volume(write(tmp_path / "a.h5", full()))
    assert volume.kspace.shape == (2, 2, READOUT, PHASE)
    expected = np.zeros(PHASE)
    expected[2:9] = np.arange(1, 8)  # the centre line 3 lies in column 5 of 10
    for slice_index, kspace in enumerate(volume.kspace):
        wanted = np.where(expected > 0, expected + 100 * slice_index, 0)
        np.testing.assert_array_equal(kspace, np.broadcast_to(wanted, kspace.shape))
    assert volume.mask is None
    assert volume.info.padding == (2, 9)


def test_partial_fourier_that_counts_from_its_minimum_is_full(tmp_path):
    header = HEADER.replace(
        "<minimum>0</minimum><maximum>6</maximum><center>3</center>",
        "<minimum>2</minimum><maximum>9</maximum><center>5</center>",
    )
    assert header != HEADER
    lines = [acquisition(line, number) for number in range(2) for line in range(2, 10)]
    volume = open_volume(write(tmp_path / "a.h5", lines, header))
    assert (volume.mask, volume.info.padding) == (None, (2, 10))


def test_noise_and_other_scans_are_skipped(tmp_path):
    others = [
        acquisition(0, value=7, num_samples=99, flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_NAVIGATION_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_PHASECORR_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_DUMMYSCAN_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_HPFEEDBACK_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_RTFEEDBACK_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_PHASE_STABILIZATION_REFERENCE),
        acquisition(0, value=7, flag=ismrmrd.ACQ_IS_PHASE_STABILIZATION),
    ]
    others[-1].set_flag(ismrmrd.ACQ_IS_REVERSE)  # of no matter in lines that are skipped
    calm = open_volume(write(tmp_path / "a.h5", full()))
    with pytest.warns(UserWarning, match="left out: 2 noise, 2 navigation, 2 phase correction, 2 feedback, 2 dummy"):
        mixed = open_volume(write(tmp_path / "b.h5", [*others, *full(), *others]))
    np.testing.assert_array_equal(np.stack(list(mixed.kspace)), np.stack(list(calm.kspace)))


def test_acquisitions_of_another_encoding_are_skipped(tmp_path):
    other = acquisition(0, value=7, num_samples=6, center=3)
    other.encoding_space_ref = 1
    with pytest.warns(UserWarning, match="1 acquisitions of other encodings than number 0 are left out"):
        volume = open_volume(write(tmp_path / "a.h5", [*full(), other]))
    assert volume.kspace[0][0, 0, 2] == 1


def test_lines_in_reverse_are_refused(tmp_path):
    acquisitions = full()
    for one in acquisitions[::2]:
        one.set_flag(ismrmrd.ACQ_IS_REVERSE)
    assert refusal(write(tmp_path / "a.h5", acquisitions)) == (
        "7 of 14 lines are read out in reverse (flag 22), as in echo-planar scans; turning them round needs a phase "
        "correction. Correct the lines and clear the flag first"
    )


def test_lines_that_are_calibration_and_image_are_kept(tmp_path):
    flagged = full(flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    assert open_volume(write(tmp_path / "a.h5", flagged)).mask is None


def test_averages_are_averaged(tmp_path):
    twice = [acquisition(line, value=value, average=value - 1) for line in range(7) for value in (1, 2)]
    kspace = open_volume(write(tmp_path / "a.h5", [*twice, acquisition(0, value=6, average=2)])).kspace[0]
    assert set(kspace[0, 0, 3:9]) == {1.5}
    assert kspace[0, 0, 2] == 3


def test_missing_lines_are_zero_and_in_the_mask(tmp_path):
    volume = open_volume(write(tmp_path / "a.h5", [acquisition(line) for line in (0, 3, 4)]))
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), [2, 5, 6])
    assert not volume.kspace[0][..., ~volume.mask].any()


def test_a_partial_readout_puts_its_centre_in_the_middle(tmp_path):
    ramp = np.arange(1, 7)
    kspace = open_volume(write(tmp_path / "a.h5", full(num_samples=6, center=2, value=ramp))).kspace[0]
    np.testing.assert_array_equal(kspace[0, :, 5], [0, 0, 1, 2, 3, 4, 5, 6])


def test_discarded_samples_are_left_out(tmp_path):
    ramp = np.arange(1, READOUT + 1)
    acquisitions = full(value=ramp)
    for one in acquisitions:
        one.discard_pre, one.discard_post = 1, 2
    kspace = open_volume(write(tmp_path / "a.h5", acquisitions)).kspace[0]
    np.testing.assert_array_equal(kspace[0, :, 5], [0, 2, 3, 4, 5, 6, 0, 0])


def test_a_full_readout_without_a_centre_sample_is_taken_as_it_is(tmp_path):
    ramp = np.arange(1, READOUT + 1)
    kspace = open_volume(write(tmp_path / "a.h5", full(center=0, value=ramp))).kspace[0]
    np.testing.assert_array_equal(kspace[0, :, 5], ramp)


def test_other_trajectories_are_refused(tmp_path):
    header = HEADER.replace("cartesian", "radial")
    assert refusal(write(tmp_path / "a.h5", full(), header)) == (
        "the trajectory is radial; only Cartesian scans can be read"
    )


def test_partitions_that_nobody_counts_are_a_2d_scan(tmp_path):
    header = HEADER.replace("<z>1</z>", "<z>32</z>", 1)
    with pytest.warns(UserWarning, match="32 partitions, but the acquisitions count none; taken as a 2-D scan"):
        assert open_volume(write(tmp_path / "a.h5", full(), header)).kspace.shape == (2, 2, READOUT, PHASE)


def test_partitions_that_the_header_has_not_are_refused(tmp_path):
    acquisitions = full()
    acquisitions[0].idx.kspace_encode_step_2 = 3
    assert refusal(write(tmp_path / "a.h5", acquisitions)).startswith("acquisitions count partitions up to 3")


def test_few_acquisitions_of_another_length_are_left_out(tmp_path):
    acquisitions = [*full(), acquisition(0, num_samples=6, center=2)]
    with pytest.warns(UserWarning, match=r"1 of 15 acquisitions are left out; they differ in number_of_samples"):
        volume = open_volume(write(tmp_path / "a.h5", acquisitions))
    assert volume.kspace[0][0, 0, 2] == 1


def test_many_acquisitions_of_another_length_are_refused(tmp_path):
    acquisitions = [*full(), *full(num_slices=1, num_samples=6, center=2)]
    assert refusal(write(tmp_path / "a.h5", acquisitions)) == (
        "acquisitions differ in number_of_samples: found [6, 8]; all lines of an image must be alike"
    )


def test_samples_that_do_not_fit_the_readout_are_refused(tmp_path):
    assert refusal(write(tmp_path / "a.h5", full(num_samples=6, center=5))) == (
        "6 samples with their centre at 5 do not fit a readout of 8"
    )


def test_a_slice_that_lost_a_line_is_left_out(tmp_path):
    acquisitions = [*full(num_slices=3)]
    del acquisitions[1]
    with pytest.warns(UserWarning, match="1 of 3 slices are left out: slice 1 lacks 1 of 7 lines"):
        volume = open_volume(write(tmp_path / "a.h5", acquisitions))
    assert [kspace[0, 0, 2] for kspace in volume.kspace] == [1, 201]
    assert volume.mask is None


def test_masks_that_change_from_slice_to_slice_leave_their_common_lines(tmp_path):
    lost = [(number, number) for number in range(3)]
    acquisitions = [one for one in full(num_slices=3) if (one.idx.slice, one.idx.kspace_encode_step_1) not in lost]
    with pytest.warns(UserWarning, match="6 to 6 lines each; the 4 that all have are used"):
        volume = open_volume(write(tmp_path / "a.h5", acquisitions))
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), [5, 6, 7, 8])
    assert not volume.kspace[0][..., ~volume.mask].any()


def test_slices_that_share_few_lines_are_refused(tmp_path):
    acquisitions = [one for one in full(num_slices=3) if one.idx.kspace_encode_step_1 // 2 == one.idx.slice]
    message = refusal(write(tmp_path / "a.h5", [*acquisitions, *(acquisition(6, number) for number in range(3))]))
    assert message.startswith("slices are sampled differently: 3 to 3 lines each, 1 of them in all slices")


def test_lines_beyond_the_matrix_are_refused(tmp_path):
    message = refusal(write(tmp_path / "a.h5", [*full(), acquisition(8)]))
    assert message.startswith("the header names line 3 as k-space centre, which does not fit")
    assert "found lines 0 to 8 of a matrix of 10" in message


def test_a_noise_scan_alone_is_refused(tmp_path):
    noise = [acquisition(0, flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    assert refusal(write(tmp_path / "a.h5", noise)) == "no acquisition is part of an image; is it a noise scan alone?"


def test_nan_names_file_and_slice(tmp_path):
    path = write(tmp_path / "a.h5", [*full(), acquisition(1, 1, value=np.nan, average=1)])
    volume = open_volume(path)
    assert np.isfinite(volume.kspace[0]).all()
    with pytest.raises(DataError, match=f"{path}: slice 1 of k-space holds NaN or Inf"):
        volume.kspace[1]


def test_facts_come_from_the_header(tmp_path):
    info = open_volume(write(tmp_path / "a.h5", full())).info
    assert info == replace(INFO, volume_id="a", source=tmp_path / "a.h5")


def test_the_first_line_of_a_header_bounds_what_it_claims():
    found = read_header(header((32, 24, 1), center=12, first=6))
    assert (found.first_line, found.padding) == (6, (6, 24))
