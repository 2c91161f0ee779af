"""`mrikit data index` and `mrikit data import`."""

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.volumes import open_volume, write_fastmri
from tests.volumes.scans import make_volume

runner = CliRunner()


def run(*words) -> str:
    """What a command that must succeed prints."""
    result = runner.invoke(app, ["data", *(str(word) for word in words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path):
    write_fastmri(tmp_path / "data" / "a.h5", make_volume(num_slices=2))
    write_fastmri(tmp_path / "data" / "b.h5", make_volume(num_slices=3))
    write_fastmri(tmp_path / "data" / "c.h5", make_volume(num_coils=1))
    return tmp_path / "data"


def test_index_counts_files_and_slices_by_coils_and_size(folder):
    lines = [line.split() for line in run("index", folder).splitlines()]
    assert lines[:-1] == [
        ["coils", "readout", "phase", "files", "slices"],
        ["1", "16", "11", "1", "3"],
        ["4", "16", "11", "2", "5"],
        ["all", "3", "8"],
    ]
    assert " ".join(lines[-1]) == f"3 volumes, 0 bad files; index in {folder / '.mrikit-index.jsonl'}"


def test_index_prints_json_for_programs(folder, tmp_path):
    found = json.loads(run("index", folder, "--json", "--workers", 1, "--index", tmp_path / "elsewhere"))
    assert found == {
        "folder": str(folder),
        "index": str(tmp_path / "elsewhere"),
        "num_files": 3,
        "num_slices": 8,
        "shapes": [[1, 16, 11], [4, 16, 11]],
        "bad_files": {},
    }
    assert not (folder / ".mrikit-index.jsonl").exists()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_index_lists_bad_files_and_exits_with_1(folder, options):
    (folder / "bad.h5").write_text("no")
    result = runner.invoke(app, ["data", "index", str(folder), *options])
    assert result.exit_code == 1
    assert f"{folder / 'bad.h5'}: not an HDF5 file (2 bytes); is the download complete?" in result.stdout
    assert result.stderr == ""


def test_import_writes_the_reference_of_a_full_scan(tmp_path):
    kspace = make_volume(2, 3, (12, 8), padding=(0, 8)).kspace
    np.save(tmp_path / "scan.npy", kspace.transpose(2, 3, 0, 1))
    printed = run(
        *("import", tmp_path / "scan.npy", "--axes", "readout,phase,slice,coil", "--anatomy", "knee"),
        *("--acquisition", "CORPD_FBK", "--recon-matrix", "6,4", "--out", tmp_path / "data"),
    )
    volume = open_volume(tmp_path / "data" / "scan.h5")
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), kspace)
    axes = (-2, -1)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes), norm="ortho"), axes)
    expected = np.sqrt((np.abs(images) ** 2).sum(1))[:, 3:9, 2:6]
    np.testing.assert_allclose(np.stack(list(volume.reference)), expected, rtol=1e-5)
    assert volume.mask is None
    info = volume.info
    assert (info.anatomy, info.acquisition, info.recon_matrix) == ("knee", "CORPD_FBK", (6, 4))
    assert info.reference_max == pytest.approx(expected.max())
    assert printed.splitlines() == [
        f"{tmp_path / 'data' / 'scan.h5'}: 2 x 3 x 12 x 8 (slice, coil, readout, phase), fully sampled",
        f"next: mrikit reconstruct --data {tmp_path / 'data'} --out RECON --acceleration 4",
    ]


def test_import_writes_the_mask_of_an_undersampled_scan(tmp_path):
    pattern = np.random.default_rng(0).random((12, 8)) < 0.5
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["data"] = make_volume(1, 3, (12, 8), padding=(0, 8), mask=pattern).kspace[0]
        file["noise"] = np.zeros(3)
    printed = run(
        *("import", tmp_path / "scan.h5", "--axes", "coil,readout,phase", "--key", "data", "--anatomy", "brain"),
        *("--out", tmp_path / "data", "--volume-id", "poisson"),
    )
    volume = open_volume(tmp_path / "data" / "poisson.h5")
    assert volume.reference is None
    np.testing.assert_array_equal(volume.mask, pattern)
    assert f"{pattern.mean():.1%} sampled in 2 dimensions, no reference" in printed
    assert printed.endswith(f"next: mrikit reconstruct --data {tmp_path / 'data'} --out RECON\n")


def test_import_whitens_the_coils_with_a_noise_scan(tmp_path):
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))

    def noise(shape):
        white = (rng.standard_normal((3, *shape)) + 1j * rng.standard_normal((3, *shape))) / np.sqrt(2)
        return np.tensordot(mixing, white, 1).astype(np.complex64)

    np.save(tmp_path / "noise.npy", noise((20000,)).T[None])
    np.save(tmp_path / "scan.npy", noise((100, 200)))
    run(
        *("import", tmp_path / "scan.npy", "--axes", "coil,readout,phase", "--anatomy", "none"),
        *("--noise", tmp_path / "noise.npy", "--noise-axes", "readout,coil", "--out", tmp_path),
    )
    samples = open_volume(tmp_path / "scan.h5").kspace[0].reshape(3, -1)
    np.testing.assert_allclose(samples @ samples.conj().T / samples.shape[1], np.eye(3), atol=0.04)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--axes", "coil,phase"], ConfigError, "axes coil,phase: each of"),
        (["--axes", "readout,phase"], DataError, r"scan\.npy: the array has shape \(3, 12, 8\), but 2 axes were named"),
        (["--recon-matrix", "13,8"], ConfigError, "--recon-matrix 13,8: two sizes Y,X up to 12,8 are needed"),
        (["--recon-matrix", "12"], ConfigError, "--recon-matrix 12: two sizes Y,X up to 12,8 are needed"),
        (["--noise", "{}/scan.npy", "--noise-axes", "readout,phase"], ConfigError, "the coil axis is needed"),
        (["--noise", "{}/scan.npy", "--noise-axes", "phase,coil,readout"], DataError, "noise of 12 coils, but k-space"),
    ],
)
def test_import_says_what_is_wrong_and_writes_nothing(tmp_path, options, error, message):
    np.save(tmp_path / "scan.npy", make_volume(1, 3, (12, 8), padding=(0, 8)).kspace[0])
    words = ["import", tmp_path / "scan.npy", "--anatomy", "a", "--out", tmp_path / "out"]
    words += [] if "--axes" in options else ["--axes", "coil,readout,phase"]
    options = [option.format(tmp_path) for option in options]
    with pytest.raises(error, match=message):
        run(*words, *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "shape", "has_reference"),
    [
        (["ucsf_knee_coronal_fatsat_singlecoil.mat", "--axes", "phase,readout"], (1, 1, 640, 332), True),
        (["ucsf_head_se_t1_sag_singlecoil.mat", "--axes", "phase,readout"], (1, 1, 256, 256), True),
        (["cloudmr_phantom_16coil_signal.npy", "--axes", "readout,phase,coil"], (1, 16, 96, 96), True),
        (["sigpy_brain_8coil_us8x.npy", "--axes", "coil,readout,phase"], (1, 8, 230, 180), False),
    ],
)
def test_import_reads_real_scanner_data(real_data, tmp_path, words, shape, has_reference):
    run("import", real_data / words[0], *words[1:], "--anatomy", "any", "--out", tmp_path)
    (path,) = tmp_path.iterdir()
    volume = open_volume(path)
    assert volume.kspace.shape == shape
    assert (volume.reference is not None) == has_reference
    if volume.mask is not None:
        assert volume.mask.mean() == pytest.approx(0.124, abs=0.001)


def test_the_long_axis_of_the_real_knee_is_its_oversampled_readout(real_data, tmp_path):
    """The leg leaves the field of view along the readout, where the receiver's filter ends the image."""
    run(
        *("import", real_data / "ucsf_knee_coronal_fatsat_singlecoil.mat", "--axes", "phase,readout"),
        *("--anatomy", "knee", "--out", tmp_path),
    )
    (path,) = tmp_path.iterdir()
    image = open_volume(path).reference[0]
    readout, phase = image.mean(1), image.mean(0)
    assert readout[:40].mean() < 0.25 * readout[300:340].mean()
    assert phase[:40].mean() > 0.3 * phase.mean()


def test_import_keeps_a_file_that_is_there(tmp_path):
    np.save(tmp_path / "scan.npy", make_volume(1, 3, (12, 8), padding=(0, 8)).kspace[0])
    words = ("import", tmp_path / "scan.npy", "--axes", "coil,readout,phase", "--anatomy", "knee", "--out", tmp_path)
    run(*words)
    before = (tmp_path / "scan.h5").read_bytes()
    np.save(tmp_path / "scan.npy", make_volume(1, 2, (12, 8), padding=(0, 8)).kspace[0])
    assert f"{tmp_path / 'scan.h5'} is there already and stays; delete it" in run(*words)
    assert (tmp_path / "scan.h5").read_bytes() == before


@pytest.mark.parametrize("volume_id", ["../evil", "a/b", ".."])
def test_import_writes_into_its_folder_only(tmp_path, volume_id):
    np.save(tmp_path / "scan.npy", make_volume(1, 3, (12, 8), padding=(0, 8)).kspace[0])
    words = ("import", tmp_path / "scan.npy", "--axes", "coil,readout,phase", "--anatomy", "knee")
    with pytest.raises(ConfigError, match=r"the volume id becomes a file name in .*; leave out folders"):
        run(*words, "--out", tmp_path / "data", "--volume-id", volume_id)
    assert not (tmp_path / "data").exists()
