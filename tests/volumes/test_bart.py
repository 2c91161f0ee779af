"""BART arrays, written here byte by byte as its documentation says."""

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volume


def write_cfl(path, array, dims=None):
    """Column-major complex64 with a text header."""
    dims = dims or array.shape
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(str(size) for size in dims) + "\n")
    path.with_suffix(".cfl").write_bytes(array.astype(np.complex64).tobytes(order="F"))


def noise(*shape):
    return np.random.default_rng(0).standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]


def test_slices_and_coils_come_to_their_axes(tmp_path):
    array = noise(6, 5, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)
    write_cfl(tmp_path / "scan.cfl", array, (*array.shape, 1, 1))
    expected = array[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0, :].transpose(3, 2, 0, 1)
    for name in ("scan.cfl", "scan.hdr"):
        volume = open_volume(tmp_path / name)
        np.testing.assert_array_equal(np.stack(list(volume.kspace)), expected)
        assert volume.kspace[0].flags.c_contiguous
        assert volume.info.matrix == volume.info.recon_matrix == (6, 5)
        assert volume.info.padding == (0, 5)
        assert volume.info.volume_id == "scan"


def test_a_full_array_has_no_mask(tmp_path):
    write_cfl(tmp_path / "a.cfl", noise(6, 5, 1, 3))
    assert open_volume(tmp_path / "a.cfl").mask is None


def test_lines_that_are_zero_in_all_slices_and_coils_are_the_mask(tmp_path):
    array = noise(6, 9, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)
    array[:, 4, ..., 0] = 0  # in one slice alone: not a matter of sampling
    write_cfl(tmp_path / "a.cfl", array * (np.arange(9) % 2 == 0)[:, *[None] * 12], (*array.shape, 1, 1))
    volume = open_volume(tmp_path / "a.cfl")
    np.testing.assert_array_equal(volume.mask, [1, 0, 1, 0, 1, 0, 1, 0, 1])
    assert volume.info.padding == (0, 9)


def test_a_plane_that_is_sampled_in_two_dimensions_has_its_pattern_as_mask(tmp_path):
    pattern = np.random.default_rng(1).random((6, 5)) < 0.5
    write_cfl(tmp_path / "plane.cfl", noise(1, 6, 5, 3) * pattern[..., None])
    np.testing.assert_array_equal(open_volume(tmp_path / "plane.cfl").mask, pattern)


def test_zero_lines_at_the_sides_alone_are_padding(tmp_path):
    array = noise(6, 9, 1, 3)
    array[:, [0, 8]] = 0
    write_cfl(tmp_path / "a.cfl", array)
    volume = open_volume(tmp_path / "a.cfl")
    assert (volume.mask, volume.info.padding) == (None, (1, 8))


def test_an_array_of_zeros_is_refused(tmp_path):
    write_cfl(tmp_path / "a.cfl", np.zeros((6, 5)))
    with pytest.raises(DataError, match=r"^\S+/a\.cfl: all of k-space is zero"):
        open_volume(tmp_path / "a.cfl")


def test_a_plane_of_two_phase_encodings_is_readout_and_phase(tmp_path):
    array = noise(1, 6, 5, 3)
    write_cfl(tmp_path / "plane.cfl", array)
    np.testing.assert_array_equal(open_volume(tmp_path / "plane.cfl").kspace[0], array[0].transpose(2, 0, 1))


@pytest.mark.parametrize(("shape", "extra"), [((6, 5, 2), "{2: 2}"), ((6, 5, 1, 3, 2), "{4: 2}")])
def test_further_dimensions_are_refused(tmp_path, shape, extra):
    write_cfl(tmp_path / "a.cfl", noise(*shape))
    with pytest.raises(DataError, match=f"a 2-D scan is needed.*found dimensions {extra} too"):
        open_volume(tmp_path / "a.cfl")


def test_a_truncated_array_is_refused(tmp_path):
    write_cfl(tmp_path / "a.cfl", noise(6, 5), (6, 6))
    with pytest.raises(DataError, match=r"a\.cfl: 240 bytes, but its header a\.hdr promises 288"):
        open_volume(tmp_path / "a.cfl")


@pytest.mark.parametrize("text", ["", "# Dimensions\nsix five\n", "0 5\n"])
def test_a_header_without_sizes_is_refused(tmp_path, text):
    write_cfl(tmp_path / "a.cfl", noise(6, 5))
    (tmp_path / "a.hdr").write_text(text)
    with pytest.raises(DataError, match=r"a\.hdr: not a BART header; a line of sizes such as"):
        open_volume(tmp_path / "a.cfl")


def test_a_missing_half_is_named(tmp_path):
    write_cfl(tmp_path / "a.cfl", noise(6, 5))
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(DataError, match=r"a\.hdr: No such file or directory; a BART array is a \.hdr and a \.cfl file"):
        open_volume(tmp_path / "a.cfl")


def test_nan_in_a_slice_is_refused(tmp_path):
    array = noise(6, 5, 1, 2)
    array[1, 2, 0, 1] = np.nan
    write_cfl(tmp_path / "a.cfl", array)
    with pytest.raises(DataError, match=r"^\S+/a\.cfl: slice 0 of k-space holds NaN or Inf"):
        open_volume(tmp_path / "a.cfl")
