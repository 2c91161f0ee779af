"""The banding scorer: its column, its files, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from phantoms import make_volume
from scored_study import line_mask, write_recon, write_volumes
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.evaluate import OrientationClassifier, evaluate, read_scores, summarise, write_scores
from mrikit.metrics import directional_excess
from mrikit.volumes import write_fastmri

SIZE = 160
STRIPES = np.cos(2 * np.pi * np.arange(SIZE) / 6).astype(np.float32)


@pytest.fixture
def study(tmp_path):
    """Two volumes, and reconstructions of them with bands."""
    data, recon, images = tmp_path / "data", tmp_path / "recon", {}
    for name in ("v0", "v1"):
        volume = make_volume(2, num_coils=1, size=(SIZE, SIZE), window=(SIZE, SIZE), volume_id=name)
        write_fastmri(data / f"{name}.h5", volume)
        images[name] = np.abs(volume.reference + 0.01 * STRIPES)
    write_recon(recon, data, images, noise=1e-4)
    return data, recon


def test_a_row_has_the_excess_of_each_slice_and_its_mean(study):
    data, recon = study
    found = evaluate(data, recon, scorer="banding")
    plain = evaluate(data, recon)
    for row, other in zip(found.rows, plain.rows, strict=True):
        assert (row.ssim, row.psnr, row.nmse) == (other.ssim, other.psnr, other.nmse)
        assert (other.banding_db, other.slice_banding_db) == (None, ())
        assert min(row.slice_banding_db) > 3
        assert row.banding_db == pytest.approx(np.mean(row.slice_banding_db))
    (summary,) = summarise(found.rows)
    assert summary.banding_db.mean == pytest.approx(np.mean([row.banding_db for row in found.rows]))
    json_path, csv_path = write_scores(recon, found)
    assert json_path.name == "scores.banding.json"
    assert read_scores(json_path) == found
    assert "banding_db" in csv_path.read_text().splitlines()[0].split(",")


def test_the_phase_axis_is_x(study):
    data, recon = study
    volume = make_volume(1, num_coils=1, size=(SIZE, SIZE), window=(SIZE, SIZE))
    reference = torch.from_numpy(volume.reference)
    expected = directional_excess((reference + 0.01 * torch.from_numpy(STRIPES)).abs(), reference)
    assert evaluate(data, recon, scorer="banding").rows[0].slice_banding_db[0] == pytest.approx(expected[0], abs=1)


def test_the_phase_axis_of_a_transposed_scan_is_y(study):
    data, recon = study
    volume = make_volume(2, num_coils=1, size=(SIZE, SIZE), window=(SIZE, SIZE))
    banded = {"v0": np.abs(volume.reference + 0.01 * STRIPES[:, None])}
    write_recon(recon, data, banded, noise=1e-4)
    turned, plain = recon.with_name("turned"), {}
    write_recon(turned, data, banded, noise=1e-4, config={"transposed": True}, transposed=True)
    for folder in (recon, turned):
        (plain[folder],) = [row for row in evaluate(data, folder, scorer="banding").rows if row.volume_id == "v0"]
    assert not plain[recon].is_transposed
    assert plain[turned].is_transposed
    assert plain[recon].banding_db < -3
    assert plain[turned].banding_db == pytest.approx(-plain[recon].banding_db, abs=0.5)


def test_a_classifier_is_asked_for_image_and_reference(study):
    """It is a function of whoever asks for scores, here of the mean brightness."""
    data, recon = study
    judge = OrientationClassifier(classify=lambda images: [float(one.mean()) for one in images], sha256="c")
    for row in evaluate(data, recon, scorer="banding", classifier=judge).rows:
        reference = make_volume(2, num_coils=1, size=(SIZE, SIZE), window=(SIZE, SIZE)).reference
        assert row.slice_reference_logits == pytest.approx(reference.mean((1, 2)), rel=1e-4)
        assert row.slice_logits != row.slice_reference_logits
        assert (row.told, row.told_of_reference, row.classifier) == (0.0, 0.0, "c")
    with pytest.raises(ConfigError, match="part of the banding scorer, and fastmri was asked for"):
        evaluate(data, recon, classifier=judge)


def test_a_volume_that_is_too_small_for_the_classifier_is_named(study):
    data, recon = study

    def classify(images):
        raise DataError(f"needs more than {len(images)} slices of that")

    judge = OrientationClassifier(classify=classify, sha256="c")
    found = evaluate(data, recon, scorer="banding", classifier=judge)
    assert [one.reason for one in found.unscored] == ["needs more than 2 slices of that"] * 2


def test_the_command_shows_it_and_says_what_is_not_in_it(study):
    _, recon = study
    how = ["evaluate", "--recon", str(recon), "--scorer", "banding"]
    lines = CliRunner().invoke(app, how, catch_exceptions=False).stdout.splitlines()
    (missing,) = [line for line in lines if line.startswith("not measured: how well a classifier tells")]
    assert "`mrikit train --task orientation`" in missing
    assert any("banding dB [95 % interval]" in line for line in lines)
    content = json.loads(CliRunner().invoke(app, [*how, "--json"], catch_exceptions=False).stdout)
    (folder,) = content["folders"]
    overall = folder["summary"][0]["banding_db"]["mean"]
    assert any(f"{overall:+.2f}" in line for line in lines)
    assert len(folder["rows"][0]["slice_banding_db"]) == 2


def test_small_images_and_masks_along_both_axes_have_none(study, tmp_path):
    data, recon = study
    mask = dataclasses.replace(line_mask(), samples=np.ones((SIZE, SIZE), np.bool_), kind="poisson_2d")
    volume = make_volume(2, num_coils=1, size=(SIZE, SIZE), window=(SIZE, SIZE), volume_id="v0")
    write_recon(recon, data, {"v0": volume.reference}, mask=mask)
    found = evaluate(data, recon, scorer="banding")
    assert [row.volume_id for row in found.rows] == ["v1"]
    assert "mask 'poisson_2d' undersamples both" in found.unscored[0].reason
    small, small_recon = tmp_path / "small", tmp_path / "small_recon"
    write_recon(small_recon, small, write_volumes(small, 1))
    assert "sides at least 32" in evaluate(small, small_recon, scorer="banding").unscored[0].reason
