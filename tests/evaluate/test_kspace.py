"""NMSE of k-space: of volumes whose method fills it, and of all of them."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from reconstruct.learned_weights import save_learned, write_volumes
from scored_study import score
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.evaluate import evaluate, read_scores, summarise
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes.reconstruction import read_reconstruction, write_reconstruction


@pytest.fixture
def folders(tmp_path):
    data = write_volumes(tmp_path / "data")
    weights = save_learned(tmp_path / "w.safetensors", accelerations=(3.0,))
    reconstruct_folder(data, tmp_path / "recon", ReconstructConfig(weights=weights))
    return data, tmp_path / "recon"


def filled(number, nmse, energy, **kwargs):
    return dataclasses.replace(score(number, 0.9, **kwargs), kspace_nmse=nmse, kspace_energy=energy)


def test_a_volume_has_the_error_of_all_its_slices_over_their_energy(folders):
    scores = evaluate(*folders)
    for row in scores.rows:
        energies = read_reconstruction(folders[1] / row.reconstruction).kspace_energies.astype(np.float64)
        assert row.kspace_nmse == pytest.approx(energies[:, 0].sum() / energies[:, 1].sum(), rel=1e-12)
        assert row.kspace_energy == pytest.approx(energies[:, 1].sum(), rel=1e-12)
        assert 0 < row.kspace_nmse < 1
        assert not any(setting.startswith("center_fraction") for setting in row.settings)


def test_all_together_are_a_mean_over_volumes_and_one_ratio():
    (found,) = summarise([filled(0, 0.1, 1.0), filled(1, 0.3, 3.0)])
    assert found.kspace_nmse.mean == pytest.approx(0.2)
    assert found.kspace_nmse_of_all == pytest.approx((0.1 + 0.9) / 4)


def test_where_one_lacks_it_there_is_none_and_other_means_are_the_same():
    rows = [filled(number, 0.1, 1.0) for number in range(3)]
    without = [*rows[:2], dataclasses.replace(rows[2], kspace_nmse=None, kspace_energy=None)]
    (some,), (whole,) = summarise(without), summarise(rows)
    assert (some.kspace_nmse, some.kspace_nmse_of_all) == (None, None)
    assert (some.ssim, some.psnr, some.nmse) == (whole.ssim, whole.psnr, whole.nmse)


def test_the_command_shows_and_keeps_it(folders):
    done = CliRunner().invoke(app, ["evaluate", "--recon", str(folders[1])], catch_exceptions=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[1][-5:] == ["NMSE", "k-space", "NMSE", "of", "all"]
    content = json.loads((folders[1] / "scores.json").read_text())
    overall = content["summary"][0]
    assert [f"{overall['kspace_nmse']['mean']:.4g}", f"{overall['kspace_nmse_of_all']:.4g}"] == lines[2][-2:]
    with (folders[1] / "scores.csv").open(newline="") as file:
        values = [float(row["kspace_nmse"]) for row in csv.DictReader(file)]
    assert values == [row["kspace_nmse"] for row in content["rows"]]
    assert sum(values) / 2 == pytest.approx(overall["kspace_nmse"]["mean"])


def test_scores_of_older_versions_have_none(folders):
    CliRunner().invoke(app, ["evaluate", "--recon", str(folders[1])], catch_exceptions=False)
    path = folders[1] / "scores.json"
    content = json.loads(path.read_text())
    content.pop("adaptivity")
    for row in content["rows"]:
        del row["kspace_nmse"], row["kspace_energy"]
    path.write_text(json.dumps(content))
    assert [row.kspace_nmse for row in read_scores(path).rows] == [None, None]


def test_folders_without_it_have_no_column(folders):
    for path in folders[1].glob("*.h5"):
        made = read_reconstruction(path)
        write_reconstruction(path, dataclasses.replace(made, kspace_energies=None))
    done = CliRunner().invoke(app, ["evaluate", "--recon", str(folders[1])], catch_exceptions=False)
    assert "k-space" not in done.stdout
