"""Reference lines of parallel imaging, encodings and groups: what belongs to the image and what does not."""

import numpy as np
import pytest

from mrikit.errors import DataError
from tests.volumes.mrd import header, line, lines, read, samples, scan, write

KSPACE = scan()
READOUT, PHASE = KSPACE.shape[2:]
CALIBRATION, BOTH, NOISE = 20, 21, 19
REFERENCE_LINES = range(8, 16)


def grappa(on_grid, scale=1):
    """Every second line, and in the middle all; those between carry the calibration flag, the others `on_grid`."""
    return [
        line(
            one[:, :, number] * (scale if number % 2 else 1),
            number,
            place,
            flags=() if number not in REFERENCE_LINES else [CALIBRATION] if number % 2 else on_grid,
        )
        for place, one in enumerate(KSPACE)
        for number in range(PHASE)
        if number % 2 == 0 or number in REFERENCE_LINES
    ]


@pytest.mark.parametrize("on_grid", [[BOTH], [CALIBRATION, BOTH]])
def test_embedded_reference_lines_are_data(tmp_path, on_grid):
    xml = header((READOUT, PHASE, 1), center=12, mode="embedded")
    (volume,) = read(write(tmp_path / "a.h5", xml, grappa(on_grid)))
    expected = [number for number in range(PHASE) if number % 2 == 0 or number in REFERENCE_LINES]
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), expected)
    np.testing.assert_array_equal(samples(volume), np.where(volume.mask, KSPACE, 0))


@pytest.mark.parametrize("mode", ["separate", "external", None])
def test_reference_lines_that_were_measured_apart_are_no_data(tmp_path, mode):
    xml = header((READOUT, PHASE, 1), center=12, mode=mode)
    (volume,) = read(write(tmp_path / "a.h5", xml, grappa([BOTH], scale=7)))
    np.testing.assert_array_equal(np.flatnonzero(volume.mask), range(0, PHASE, 2))
    (note,) = volume.info.notes
    assert note.startswith("8 calibration lines are left out; they were measured apart")


def test_an_imaging_line_stands_before_a_reference_line_of_its_place(tmp_path):
    xml = header((READOUT, PHASE, 1), center=12, mode="embedded")
    repeated = [line(one[:, :, 12] * 5, 12, place, flags=[CALIBRATION]) for place, one in enumerate(KSPACE)]
    (volume,) = read(write(tmp_path / "a.h5", xml, [*repeated, *lines(KSPACE)]))
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == ("2 calibration lines are left out; imaging lines have their place",)


def test_the_encoding_with_most_samples_is_read_with_its_own_header(tmp_path):
    small, large = header((8, 8, 1), center=4), header((READOUT, PHASE, 1), center=12)
    encoding = large[large.index("<encoding>") : large.index("</ismrmrdHeader>")]
    xml = small.replace("</ismrmrdHeader>", encoding + "</ismrmrdHeader>")
    others = lines(KSPACE[:1, :, :8, :8], encoding_space_ref=0)
    (volume,) = read(write(tmp_path / "a.h5", xml, [*others, *lines(KSPACE, encoding_space_ref=1)]))
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == ("8 acquisitions of other encodings than number 1 are left out",)


def test_the_largest_scan_of_a_file_is_read_and_the_others_named(tmp_path):
    path, xml = tmp_path / "a.h5", header((READOUT, PHASE, 1), center=12)
    write(path, xml, lines(KSPACE[:1]), group="adjustment")
    write(path, xml, lines(KSPACE), group="scan")
    (volume,) = read(path)
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == ("scan 'scan' is read; left out are the other scans of the file: adjustment",)


def test_a_named_scan_of_a_file_is_read(tmp_path):
    path, xml = tmp_path / "a.h5", header((READOUT, PHASE, 1), center=12)
    write(path, xml, lines(KSPACE[:1]), group="adjustment")
    write(path, xml, lines(KSPACE), group="scan")
    assert read(path, "adjustment")[0].kspace.shape[0] == 1
    with pytest.raises(DataError, match=r"no scan 'other' in the file; found \['scan', 'adjustment'\]"):
        read(path, "other")


def test_lines_that_serve_calibration_alone_are_no_scan(tmp_path):
    xml = header((READOUT, PHASE, 1), center=12)
    with pytest.raises(DataError, match="all lines serve calibration alone"):
        read(write(tmp_path / "a.h5", xml, lines(KSPACE, flags=[CALIBRATION])))
