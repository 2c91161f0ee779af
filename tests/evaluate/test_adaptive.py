"""Whether lines were chosen by what a method saw."""

import numpy as np
import pytest
from reconstruct.learned_weights import save_adaptive, save_learned, write_volumes
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.evaluate import evaluate, find_scores
from mrikit.metrics.adaptivity import measure_adaptivity
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes.reconstruction import read_chances


def made(tmp_path, save=save_adaptive, **settings):
    data = write_volumes(tmp_path / "data")
    weights = save(tmp_path / "w.safetensors", **settings)
    reconstruct_folder(data, tmp_path / "recon", ReconstructConfig(weights=weights))
    return data, tmp_path / "recon"


def test_it_is_that_of_the_chances_of_each_decision(tmp_path):
    data, recon = made(tmp_path)
    (found,) = evaluate(data, recon).adaptivity
    chances = np.concatenate([read_chances(path) for path in sorted(recon.glob("*.h5"))])
    each = [measure_adaptivity(chances[:, decision]) for decision in range(2)]
    assert (found.num_slices, found.num_decisions) == (4, 2)
    assert found.first == each[0]
    assert found.total.information_bits == pytest.approx(sum(one.information_bits for one in each))
    assert found.first.information_bits > 0


def test_one_vector_for_all_does_not_adapt_although_its_draws_differ(tmp_path):
    data, recon = made(tmp_path, settings={"policy": "loupe"})
    (found,) = evaluate(data, recon).adaptivity
    assert found.total.information_bits == pytest.approx(0, abs=1e-9)
    assert found.total.marginal_bits > 1


def test_the_command_says_it_and_keeps_it(tmp_path):
    _, recon = made(tmp_path)
    done = CliRunner().invoke(app, ["evaluate", "--recon", str(recon)], catch_exceptions=False)
    (scores,) = find_scores(recon)
    assert scores.adaptivity[0].line in done.stdout.splitlines()
    assert scores.adaptivity[0].line.startswith("adaptivity at 3.11111x: ")
    assert scores.adaptivity[0].line.endswith("in the first of 2 decisions (4 slices; 0 is the same for all)")


def test_a_folder_of_one_mask_has_none(tmp_path):
    data, recon = made(tmp_path, save_learned, accelerations=(3.0,))
    assert evaluate(data, recon).adaptivity == ()
