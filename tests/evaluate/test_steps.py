"""Scores over lines of a folder."""

import json

import numpy as np
import pytest
from acquired_study import acquire_into
from reconstruct.learned_weights import save_adaptive, write_volumes
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.evaluate import evaluate, find_scores, summarise, write_scores
from mrikit.evaluate.curves import areas_under
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes.decisions import read_decisions


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    data = write_volumes(folder / "data", num_volumes=3)
    for policy in ("low_to_high", "random"):
        acquire_into(folder / "run" / policy, data, policy)
    return folder


def test_a_curve_ends_at_the_score_of_the_table(study):
    found = evaluate(study / "data", study / "run" / "random")
    (curve,), (summary,) = found.curves, summarise(found.rows)
    assert curve.ssim.num_lines == tuple(range(4, 10))
    assert (curve.num_volumes, curve.num_slices) == (3, 6)
    assert curve.ssim.scores[-1].mean == pytest.approx(summary.ssim.mean, rel=1e-6)
    assert curve.ssim.scores[-1].low == pytest.approx(summary.ssim.low, rel=1e-6)


def test_its_area_is_that_of_the_mean_scores(study):
    recon = study / "run" / "low_to_high"
    (curve,) = evaluate(study / "data", recon).curves
    scores = np.mean([read_decisions(path).scores for path in sorted(recon.glob("*.h5"))], axis=(0, 1))
    for place, name in enumerate(("ssim", "psnr", "nmse")):
        expected = areas_under(scores[None, :, place], range(4, 10))[0]
        assert getattr(curve, name).area.mean == pytest.approx(expected, rel=1e-5)
    assert curve.ssim.area.low < curve.ssim.area.mean < curve.ssim.area.high


def test_a_decision_takes_the_mean_of_all(study):
    recon = study / "run" / "random"
    (curve,) = evaluate(study / "data", recon).curves
    seconds = np.mean([read_decisions(path).seconds for path in recon.glob("*.h5")])
    assert curve.ms_per_decision == pytest.approx(1000 * seconds)


def test_it_comes_back_from_the_file(study):
    recon = study / "run" / "random"
    found = evaluate(study / "data", recon)
    write_scores(recon, found)
    assert find_scores(recon)[0].curves == found.curves


def test_a_network_that_measures_without_scores_has_no_curve(study, tmp_path):
    weights = save_adaptive(tmp_path / "w.safetensors")
    reconstruct_folder(study / "data", tmp_path / "recon", ReconstructConfig(weights=weights))
    found = evaluate(study / "data", tmp_path / "recon")
    assert (len(found.adaptivity), found.curves) == (1, ())
    decisions = read_decisions(tmp_path / "recon" / "v0.h5")
    assert decisions.num_lines.tolist() == [[4, 6, 9]] * 2


def test_the_command_prints_it_and_the_json_holds_it(study):
    words = ["evaluate", *(word for name in ("low_to_high", "random") for word in ("--recon", study / "run" / name))]
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    lines = done.stdout.splitlines()
    start = lines.index("SSIM over lines, by fastMRI's scorer; area is the mean height of the curve:")
    heads, *rows = (line.split() for line in lines[start + 1 : start + 4])
    assert heads[:3] == ["R", "policy", "lines"]
    assert [row[:5] for row in rows] == [["3.11x", name, "4", "to", "9"] for name in ("low_to_high", "random")]
    done = CliRunner().invoke(app, [*(str(word) for word in words), "--json"], catch_exceptions=False)
    for folder in json.loads(done.stdout)["folders"]:
        (curve,) = folder["curves"]
        assert f"{curve['ssim']['area']['mean']:.4f}" in " ".join(lines[start:])
        assert curve["ms_per_decision"] > 0
