"""The k-space centre of MRD scans: declared, told by the acquisitions, or found in the data."""

import numpy as np
import pytest

from mrikit.errors import DataError
from tests.volumes.mrd import header, line, lines, read, rss, samples, scan, write

KSPACE = scan(phase=48)
READOUT, PHASE = KSPACE.shape[2:]
MATRIX = (READOUT, PHASE, 1)


def partial_fourier(skipped=12, **facts):
    """Without the first lines, counted from 0."""
    return [
        line(one[:, :, number], number - skipped, place, **facts)
        for place, one in enumerate(KSPACE)
        for number in range(skipped, PHASE)
    ]


def without_last(skipped=12):
    return lines(KSPACE, range(PHASE - skipped))


def nmse(volume):
    truth = rss(KSPACE)
    return float(((rss(samples(volume)) - truth) ** 2).sum() / (truth**2).sum())


def test_a_true_centre_of_partial_fourier_is_believed(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=12, last=35), partial_fourier()))
    assert (volume.info.notes, volume.info.padding, volume.mask) == ((), (12, 48), None)
    assert nmse(volume) < 0.01


@pytest.mark.parametrize("declared", [15, 17, 20])
def test_a_wrong_centre_of_partial_fourier_is_repaired_and_said(tmp_path, declared):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=declared, last=35), partial_fourier()))
    assert (volume.info.padding, volume.mask) == ((12, 48), None)
    assert nmse(volume) < 0.01
    (note,) = volume.info.notes
    assert note == (
        f"the header names line {declared} as k-space centre, but the energy is at line 12; line 12 is taken, where "
        "partial Fourier that leaves out the first lines puts it"
    )


def test_a_zero_that_nobody_filled_in_gives_way_to_the_middle_of_the_lines(tmp_path):
    acquisitions = lines(KSPACE[..., 14:35])
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=0, last=20), acquisitions))
    assert volume.info.padding == (14, 35)
    assert volume.info.notes[0].endswith("line 10 is taken, the middle of the lines")


def test_half_of_kspace_may_begin_at_its_centre(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=0, last=23), lines(KSPACE[..., 24:])))
    assert (volume.info.padding, volume.info.notes) == ((24, 48), ())


@pytest.mark.parametrize("xml", [header(MATRIX, center=18, last=35, mode="embedded"), header(MATRIX, mode="embedded")])
def test_undersampled_partial_fourier_has_its_centre_to_the_line(tmp_path, xml):
    # The last line of the matrix is one that undersampling left out.
    acquisitions = [one for one in partial_fourier() if one.idx.kspace_encode_step_1 % 2 == 0]
    (volume,) = read(write(tmp_path / "a.h5", xml, acquisitions))
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), range(12, 48, 2))


def test_a_wrong_centre_before_lost_last_lines_is_repaired(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=18, last=35), without_last()))
    assert volume.info.padding == (0, 36)
    assert nmse(volume) < 0.01


def test_the_centre_that_acquisitions_tell_explains_what_the_energy_shows(tmp_path):
    # Lines are missing at both sides, so that partial Fourier alone explains nothing.
    acquisitions = [
        line(one[:, :, number], number - 10, place, user={5: 14})
        for place, one in enumerate(KSPACE)
        for number in range(10, PHASE - 6)
    ]
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=19, last=31), acquisitions))
    assert volume.info.padding == (10, 42)
    assert volume.info.notes[0].endswith("line 14 is taken, as the acquisitions say")


def test_a_wrong_centre_that_nothing_explains_is_refused(tmp_path):
    acquisitions = [
        line(one[:, :, number], number - 10, place) for place, one in enumerate(KSPACE) for number in range(10, 42)
    ]
    path = write(tmp_path / "a.h5", header(MATRIX, center=21, last=31), acquisitions)
    with pytest.raises(DataError, match="line 21 as k-space centre, but the energy is at line 14 of 0 to 31"):
        read(path)


def test_a_spike_is_no_centre(tmp_path):
    acquisitions = partial_fourier()
    for one in acquisitions:
        if one.idx.kspace_encode_step_1 == 30:
            one.data[:, 3] = 1e6
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=12, last=35), acquisitions))
    assert volume.info.notes == ()


def test_noise_without_a_peak_leaves_the_declared_centre(tmp_path):
    noise = scan(phase=48, noise=1000)
    acquisitions = lines(noise[..., 12:])
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX, center=17, last=35), acquisitions))
    assert (volume.info.notes, volume.info.padding) == ((), (7, 43))


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (header(MATRIX), "names no k-space centre"),
        (header(MATRIX, center=24).replace("<center>24</center>", ""), "names no k-space centre"),
        (header(MATRIX, center=0), "names line 0 as k-space centre, which does not fit"),
        (header(MATRIX, center=40), "names line 40 as k-space centre, which does not fit"),
    ],
)
def test_without_a_centre_all_lines_have_it_in_their_middle(tmp_path, xml, said):
    (volume,) = read(write(tmp_path / "a.h5", xml, lines(KSPACE)))
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == (f"the header {said}; line 24 is taken, the middle of all lines",)


def test_without_a_centre_regular_undersampling_has_it_in_the_middle(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX), lines(KSPACE, range(0, PHASE, 2))))
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), range(0, PHASE, 2))


def test_without_a_centre_the_energy_tells_it(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX), partial_fourier()))
    assert volume.info.padding == (12, 48)
    assert nmse(volume) < 0.01


def test_without_a_centre_the_acquisitions_tell_it(tmp_path):
    noise = scan(phase=48, noise=1000)
    acquisitions = lines(noise[..., 12:], user={5: 12})
    (volume,) = read(write(tmp_path / "a.h5", header(MATRIX), acquisitions))
    assert volume.info.padding == (12, 48)
    assert volume.info.notes == ("the header names no k-space centre; line 12 is taken, as the acquisitions say",)


def test_the_header_is_read_without_samples_where_all_lines_are_there(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", header(MATRIX, center=24), lines(KSPACE))
    monkeypatch.setattr("mrikit.volumes.acquisitions.Hdf5Acquisitions.samples", None)
    assert read(path)[0].kspace.shape == KSPACE.shape
