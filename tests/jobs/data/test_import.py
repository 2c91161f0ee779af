"""`mrikit data import` of arrays with averages, echoes, times, repetitions, and parts of complex values."""

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.commands.data.import_array import AXES_HELP
from mrikit.errors import ConfigError, DataError
from mrikit.volumes import open_volume
from mrikit.volumes.raw import AXES
from tests.volumes.scans import make_volume

KSPACE = make_volume(2, 3, (12, 8), padding=(0, 8)).kspace
PLAIN = "slice,coil,readout,phase"


def import_array(path, axes, *words):
    """What is printed, first to stdout, then to stderr."""
    words = ["data", "import", path, "--axes", axes, "--anatomy", "knee", "--out", path.parent / "data", *words]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def kspace_in(path):
    return np.stack(list(open_volume(path).kspace))


def test_each_echo_and_time_is_a_file_of_one_study(tmp_path):
    stored = np.stack([np.stack([KSPACE * (1 + echo + 10 * time) for time in range(2)]) for echo in range(2)])
    np.save(tmp_path / "scan.npy", stored)
    printed, _ = import_array(tmp_path / "scan.npy", f"echo,time,{PLAIN}")
    names = [f"scan_echo{echo}_time{time}" for echo in range(2) for time in range(2)]
    assert [path.stem for path in sorted((tmp_path / "data").iterdir())] == names
    for name, scale in zip(names, (1, 11, 2, 12), strict=True):
        volume = open_volume(tmp_path / "data" / f"{name}.h5")
        assert (volume.info.volume_id, volume.info.study_id) == (name, "scan")
        np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE * np.float32(scale))
    assert len(printed.splitlines()) == 5


def test_a_single_volume_is_no_study(tmp_path):
    np.save(tmp_path / "scan.npy", KSPACE[None])
    import_array(tmp_path / "scan.npy", f"repetition,{PLAIN}")
    assert open_volume(tmp_path / "data" / "scan.h5").info.study_id is None


@pytest.mark.parametrize(
    ("angle", "said"), [(0, "all in phase"), (2.6, "turned into phase in 2 of 2 slices, by up to 149 degrees")]
)
def test_averages_are_combined_in_phase_and_it_is_said(tmp_path, angle, said):
    np.save(tmp_path / "scan.npy", np.stack([KSPACE, KSPACE * np.exp(1j * angle)]))
    _, told = import_array(tmp_path / "scan.npy", f"average,{PLAIN}")
    path = tmp_path / "data" / "scan.h5"
    np.testing.assert_allclose(kspace_in(path), KSPACE, rtol=1e-5, atol=1e-5)
    assert told == f"{path}: 2 averages combined, {said}\n"


def test_parts_and_compounds_are_complex(tmp_path):
    np.save(tmp_path / "parts.npy", np.stack([KSPACE.real, KSPACE.imag]))
    import_array(tmp_path / "parts.npy", f"complex,{PLAIN}")
    compound = np.empty(KSPACE.T.shape, [("real", "<f4"), ("imag", "<f4")])
    compound["real"], compound["imag"] = KSPACE.T.real, KSPACE.T.imag
    with h5py.File(tmp_path / "matlab.mat", "w", userblock_size=512) as file:
        file["k"] = compound
    import_array(tmp_path / "matlab.mat", PLAIN)
    for name in ("parts", "matlab"):
        np.testing.assert_array_equal(kspace_in(tmp_path / "data" / f"{name}.h5"), KSPACE)


def test_an_undersampled_echo_gets_its_own_mask(tmp_path):
    np.save(tmp_path / "scan.npy", np.stack([KSPACE, KSPACE * (np.arange(8) % 2 == 0)]))
    import_array(tmp_path / "scan.npy", f"echo,{PLAIN}")
    assert open_volume(tmp_path / "data" / "scan_echo0.h5").mask is None
    np.testing.assert_array_equal(open_volume(tmp_path / "data" / "scan_echo1.h5").mask, np.arange(8) % 2 == 0)


@pytest.mark.parametrize("axes", ["slice,coil,readout,kz", "slice,coil,readout,readout", "slice,coil,echo,phase"])
def test_a_mistake_in_the_axes_is_one_line_that_names_them_all(tmp_path, axes):
    np.save(tmp_path / "scan.npy", KSPACE)
    with pytest.raises(ConfigError) as caught:
        import_array(tmp_path / "scan.npy", axes)
    assert str(caught.value) == f"axes {axes}: each of {', '.join(AXES)} at most once, readout and phase always"


def test_the_help_names_every_axis():
    assert all(name in AXES_HELP for name in AXES)


def test_nan_is_one_line_and_nothing_is_left_behind(tmp_path):
    kspace = KSPACE.copy()
    kspace[1, 0, 0, :3] = np.nan
    np.save(tmp_path / "scan.npy", kspace)
    with pytest.raises(DataError, match=r"scan\.npy: 3 values of slice 1 of the array are NaN or Inf; is it damaged\?"):
        import_array(tmp_path / "scan.npy", PLAIN)
    assert not list(tmp_path.glob("data/*"))


def test_files_that_are_there_stay_and_the_others_are_written(tmp_path):
    np.save(tmp_path / "scan.npy", np.stack([KSPACE, KSPACE * 2]))
    import_array(tmp_path / "scan.npy", f"time,{PLAIN}")
    (tmp_path / "data" / "scan_time1.h5").unlink()
    printed, _ = import_array(tmp_path / "scan.npy", f"time,{PLAIN}")
    assert f"{tmp_path / 'data' / 'scan_time0.h5'} is there already and stays" in printed
    np.testing.assert_array_equal(kspace_in(tmp_path / "data" / "scan_time1.h5"), KSPACE * 2)
