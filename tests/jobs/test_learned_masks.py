"""From a training that learns a mask to scores, as the command line goes."""

import json
import shlex

import numpy as np
import pytest
from reconstruct.learned_weights import LINES, POINTS, SHAPE, sampler_of, save_adaptive, save_learned, write_volumes
from typer.testing import CliRunner

from mrikit.checkpoint import load_weights
from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.evaluate import read_scores
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction

VARNET = {"num_cascades": 1, "num_channels": 2, "num_pools": 1, "num_sens_channels": 2, "num_sens_pools": 1}
"""It counts on the number of centre lines."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("data"), num_volumes=4)


@pytest.fixture
def weights(tmp_path):
    return save_learned(tmp_path / "w.safetensors", LINES, (3.0, 6.0), "varnet", VARNET)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run that learned points, scored on the volumes that it was trained with, and what it said."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["--task", "digits_sampling", "--size", "tiny", "--data", data, "--out", folder]
    settings = {
        "model_config.num_coils": 2,
        "model_config.num_blocks": 1,
        "model_config.kernel": "3,3",
        "sampler.acs": "square",
        "sampler.num_acs": 4,
        "data.accelerations": "3",
        "data.challenge": "multicoil",
        "data.num_validation": 1,
        "training.num_epochs": 1,
        "training.batch_size": 2,
        "training.micro_batch_size": 2,
    }
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return folder, run("train", *words), words


def test_what_a_training_names_next_measures_by_its_mask(trained, data):
    folder, done, _ = trained
    line = next(line for line in done.stdout.splitlines() if line.startswith("next: "))
    words = shlex.split(line.removeprefix("next: mrikit "))
    assert words[words.index("--acceleration") :] == ["--acceleration", "3", "--mask", "learned", "--held-out"]
    following = run(*words)
    assert following.exit_code == 0, following.output
    (path,) = find_reconstructions(folder.with_name("run-recon"))
    pattern = dict(np.load(folder / "masks" / "epoch-0001.npz"))["3x"]
    assert np.array_equal(read_reconstruction(path).mask.samples, pattern > 0)


def test_the_scores_are_those_of_its_validation(trained):
    folder, _, words = trained
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    expected = next(row for row in rows if row["kind"] == "validation" and row["epoch"] == 1)
    recon = folder.with_name("scored")
    run("reconstruct", "--weights", folder, "--data", words[words.index("--data") + 1], "--out", recon, "--held-out")
    run("evaluate", "--recon", recon)
    (row,) = read_scores(recon / "scores.json").rows
    assert row.mask == "learned"
    assert row.kspace_nmse == pytest.approx(expected["kspace_nmse"], rel=1e-5)
    assert row.ssim == pytest.approx(expected["ssim"], rel=1e-5)


def test_test_data_are_scored_by_the_learned_mask(trained, data, tmp_path):
    words = trained[2].copy()
    words[words.index("--out") + 1] = tmp_path / "run"
    done = run("train", *words, "--test-data", data)
    assert done.exit_code == 0, done.output
    rows = read_scores(tmp_path / "run-test" / "scores.json").rows
    assert {row.mask for row in rows} == {"learned"}
    assert all(row.kspace_nmse is not None for row in rows)


def test_test_data_are_measured_line_by_line_by_a_network_that_chooses(data, tmp_path):
    settings = {
        "model_config.matrix": "24,20",
        "model_config.budget": 6,
        "model_config.num_channels": 2,
        "model_config.num_pools": 1,
        "model_config.num_sens_channels": 0,
        "model_config.num_policy_channels": 2,
        "model_config.policy_fc_size": 8,
        "data.matrix": "24,20",
        "data.num_coils": 2,
        "data.accelerations": "2",
        "data.center_fractions": "0.2",
        "data.num_validation": 1,
        "training.num_epochs": 1,
        "training.batch_size": 2,
    }
    words = ["--task", "knee_sampling", "--size", "tiny", "--data", data, "--out", tmp_path / "run"]
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = run("train", *words, "--test-data", data)
    assert done.exit_code == 0, done.output
    assert "adaptivity at 2x: " in done.stdout
    scores = {row.volume_id: row for row in read_scores(tmp_path / "run-test" / "scores.json").rows}
    assert {(row.mask, row.true_acceleration) for row in scores.values()} == {("adaptive", 2.0)}
    held_out = scores.keys() - set(load_weights(tmp_path / "run").record["trained_on"])
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    expected = next(row for row in rows if row["kind"] == "validation" and row["epoch"] == 1)
    assert [scores[name].ssim for name in held_out] == [pytest.approx(expected["ssim"], rel=1e-5)]


@pytest.mark.parametrize("suffix", [".npy", ".cfl", ".json"])
def test_the_mask_as_a_file_makes_the_same_image(data, weights, tmp_path, suffix):
    file = tmp_path / f"mask{suffix}"
    made = run("masks", "make", "--weights", weights, "--acceleration", 6, "--out", file)
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("learned, 32 x 28: 5 lines, acceleration 5.6 (nominal 6), ")
    words = ("reconstruct", "--data", data, "--weights", weights)
    run(*words, "--out", tmp_path / "own", "--acceleration", 6)
    with pytest.warns(UserWarning, match="was trained with masks that were learned for it"):
        run(*words, "--out", tmp_path / "file", "--mask", file)
    own, other = (read_reconstruction(tmp_path / name / "v0.h5") for name in ("own", "file"))
    assert np.array_equal(own.mask.samples, other.mask.samples)
    assert own.mask.num_center_lines == other.mask.num_center_lines
    assert np.array_equal(own.image, other.image)


def test_an_order_of_lines_is_the_centre_and_then_the_likeliest(weights, tmp_path):
    sampler = sampler_of(LINES)
    run("masks", "make", "--weights", weights, "--acceleration", 3, "--out", tmp_path / "mask.json")
    order = json.loads((tmp_path / "mask.json").read_text())
    assert sorted(order) == np.flatnonzero(sampler.mask(0).samples).tolist()
    assert order[0] == 14
    assert set(order[:4]) == {12, 13, 14, 15} or order[4] == 16
    rest = [line for line in order if abs(line - 14) > 2]
    assert order[-len(rest) :] == rest
    chances = sampler.probabilities(0)[rest].tolist()
    assert len(chances) > 2
    assert chances == sorted(chances, reverse=True)


def test_probabilities_are_written_beside(tmp_path):
    weights = save_learned(tmp_path / "w.safetensors", POINTS)
    words = ("masks", "make", "--weights", weights, "--acceleration", 3, "--out", tmp_path / "mask.npy", "--json")
    facts = json.loads(run(*words, "--probabilities", tmp_path / "chance.npy").stdout)
    assert (facts["kind"], facts["shape"], facts["num_samples"]) == ("learned", list(SHAPE), round(32 * 28 / 3))
    found = np.load(tmp_path / "chance.npy")
    assert np.array_equal(found, sampler_of(POINTS).probabilities(0))
    samples = np.load(tmp_path / "mask.npy")
    assert found[samples].min() >= found[~samples].max()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "random"], "--weights bring a mask of their own, and --kind draws one; leave either out"),
        (["--shape", "32x28", "--set", "power=2"], "and --shape, --set draws one"),
        (["--acceleration", "5"], "no mask of 5x was learned; these weights have 3x, 6x; give --acceleration"),
        (["--probabilities", "a.txt"], "probabilities are a .npy file, found --probabilities a.txt"),
        (["--probabilities", "a.npy"], "a.npy; name another file for one of them"),
    ],
)
def test_masks_that_weights_do_not_have_are_refused_on_one_line(weights, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        run("masks", "make", "--weights", weights, "--out", tmp_path / "a.npy", *words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.npy").exists()


def test_weights_without_one_mask_have_no_file(tmp_path):
    weights = save_adaptive(tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"these weights of adaptive_varnet hold no learned mask; name a run that"):
        run("masks", "make", "--weights", weights, "--out", tmp_path / "a.npy")
    with pytest.raises(ConfigError, match="--probabilities are those that weights have learned; give --weights too"):
        run("masks", "make", "--probabilities", tmp_path / "a.npy", "--out", tmp_path / "b.npy")


def test_a_learned_mask_is_asked_for_by_its_name(data, weights, tmp_path):
    done = run(
        *("reconstruct", "--data", data, "--weights", weights, "--out", tmp_path / "out"),
        *("--mask", "learned", "--acceleration", "6"),
    )
    assert done.exit_code == 0, done.output
    assert np.array_equal(
        read_reconstruction(tmp_path / "out" / "v3.h5").mask.samples, sampler_of(LINES).mask(1).samples
    )
    with pytest.raises(ConfigError, match="--mask learned: cg_sense learned no mask"):
        run("reconstruct", "--data", data, "--out", tmp_path / "other", "--mask", "learned", "--acceleration", "4")
    with pytest.raises(ConfigError, match="--mask learned needs --acceleration; without either, weights use what"):
        run("reconstruct", "--data", data, "--out", tmp_path / "other", "--mask", "learned")


def test_data_of_another_matrix_are_one_line(tmp_path):
    other = write_volumes(tmp_path / "data", num_volumes=1, size=(40, 30))
    weights = save_learned(tmp_path / "w.safetensors", accelerations=(3.0,))
    with pytest.raises(DataError, match=r"v0\.h5: the learned mask is of 32 x 28, and k-space of 40 x 30; it suits"):
        run("reconstruct", "--data", other, "--weights", weights, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            POINTS,
            "global, samples of 32 x 28: 299 at 3x with a square centre of 16; 149 at 6x with a square centre of 16",
        ),
        (LINES, "lines of 28: 9 at 3x with a centre of 4; 5 at 6x with a centre of 4"),
    ],
)
def test_info_says_what_was_learned(tmp_path, config, words):
    found = run("weights", "info", save_learned(tmp_path / "w.safetensors", config)).stdout
    lines = dict(line.split(maxsplit=1) for line in found.splitlines())
    assert lines["sampler"].startswith(words)
    assert lines["masks"] == "3x learned; 6x learned"
