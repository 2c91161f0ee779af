import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from reconstruct.learned_weights import SHAPE, network, save_adaptive, write_volumes
from typer.testing import CliRunner

from mrikit.checkpoint import save_weights, write_tensors
from mrikit.commands.app import app
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.evaluate import evaluate
from mrikit.masks.kinds.center import center_block
from mrikit.models import model_settings
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("study") / "data")


@pytest.fixture
def run(data, tmp_path):
    def invoke(*words, given=4, budget=5, policy="low_to_high", out="out"):
        words = ["--policy", policy, "--given", given, "--budget", budget, *words]
        return acquire(data, tmp_path / out, *words)

    return invoke


def acquire(data, out, *words):
    words = ["acquire", "--data", data, "--out", out, "--device", "cpu", *words]
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def found_in(folder):
    return [read_reconstruction(path) for path in sorted(folder.rglob("*.h5"))]


def test_it_says_what_was_done_where_and_what_comes_next(run, tmp_path):
    done = run()
    first, following = done.stdout.splitlines()
    assert first.startswith("low_to_high: 2 volumes, 4 slices, ")
    assert following == f"next: mrikit evaluate --recon {tmp_path / 'out'}"
    settings = json.loads((tmp_path / "out" / "reconstruct.json").read_text())
    assert settings["model_config"]["reconstructor"] == "zero_filled"
    assert (settings["model_config"]["num_given"], settings["model_config"]["budget"]) == (4, 5)
    assert run().stdout.startswith("low_to_high: 0 volumes, 0 slices; 2 were done before")


@pytest.mark.parametrize("policy", ["random", "random_low_biased", "low_to_high", "equispaced"])
def test_each_slice_gets_the_given_lines_and_one_for_each_decision(run, tmp_path, policy):
    run(policy=policy)
    for volume in found_in(tmp_path / "out"):
        assert (volume.masks.sum(1) == 9).all()
        assert volume.masks[:, center_block(28, 4)].all()
        assert (volume.mask.kind, volume.mask.acceleration) == ("adaptive", 3.11)
        assert np.array_equal(volume.decisions.steps >= 0, volume.masks)
        assert volume.decisions.num_lines.tolist() == [list(range(4, 10))] * 2
        assert volume.chances.shape == (2, 5, 28)
        assert volume.decisions.seconds.shape == (2, 5)
        assert (volume.decisions.seconds > 0).all()


@pytest.mark.parametrize("words", [("--policy", "low_to_high"), ("--policy", "oracle", "--set", "num_samples=2")])
def test_the_last_score_of_a_slice_is_that_of_evaluate(data, tmp_path, words):
    acquire(data, tmp_path, *words, "--given", 4, "--budget", 2, "--reconstructor", "cg_sense")
    rows = evaluate(data, tmp_path).rows
    for row, volume in zip(rows, found_in(tmp_path), strict=True):
        np.testing.assert_allclose(volume.decisions.scores[:, -1, 0], row.slice_ssim, rtol=1e-6)


def test_the_film_shows_the_middle_slice_and_ends_with_its_image(run, tmp_path):
    run(budget=12)
    (volume, _) = found_in(tmp_path / "out")
    assert volume.decisions.film_steps.tolist() == [0, 2, 5, 7, 10, 12]
    np.testing.assert_allclose(volume.decisions.film[-1], volume.image[1], rtol=1e-5)


def test_an_oracle_is_better_than_an_order_and_chooses_for_each_slice(run, tmp_path):
    run(out="order", given=2, budget=6)
    run("--set", "score=nmse", policy="oracle", out="oracle", given=2, budget=6)
    order, oracle = (np.concatenate([one.decisions.scores for one in found_in(tmp_path / out)]) for out in
                     ("order", "oracle"))  # fmt: skip
    assert (oracle[:, 1:, 2] <= order[:, 1:, 2] + 1e-6).all()
    assert np.array_equal(oracle[:, 0], order[:, 0])


def test_chance_depends_on_volume_and_slice_alone(run, tmp_path):
    for out in ("first", "again"):
        run(policy="random", out=out)
    first, again = (found_in(tmp_path / out) for out in ("first", "again"))
    assert all(np.array_equal(one.masks, other.masks) for one, other in zip(first, again, strict=True))
    assert len({one.tobytes() for volume in first for one in volume.masks}) == 4


@pytest.fixture
def spirit(tmp_path):
    made = network()
    facts = {"trained_on": ["v0"], "matrix": [20, 16], "task": "knee"}
    save_weights(tmp_path / "w.safetensors", "spirit_net", model_settings(made), made.state_dict(), facts)
    return tmp_path / "w.safetensors"


def test_a_network_reconstructs_at_the_matrix_that_it_was_trained_at(run, tmp_path, spirit, data):
    run("--reconstructor", spirit, "--held-out")
    (volume,) = found_in(tmp_path / "out")
    assert volume.volume_id == "v1"
    assert volume.masks.shape == (2, 16)
    assert volume.image.shape == (2, 20, 16)
    assert volume.weights_sha256.startswith(volume.config["model_config"]["reconstructor_weights"])
    (row,) = evaluate(data, tmp_path / "out").rows
    np.testing.assert_allclose(volume.decisions.scores[:, -1, 0], row.slice_ssim, rtol=1e-6)


def test_lines_that_the_scanner_did_not_acquire_are_not_chosen(tmp_path):
    volume = make_volume(1, num_coils=2, size=SHAPE, window=(24, 20))
    outside = (np.arange(28) < 4) | (np.arange(28) >= 26)
    kspace = np.where(outside, 0, volume.kspace).astype(np.complex64)
    write_fastmri(
        tmp_path / "data" / "v0.h5", replace(volume, kspace=kspace, info=replace(volume.info, padding=(4, 26)))
    )
    acquire(tmp_path / "data", tmp_path / "out", "--policy", "random", "--given", 6, "--budget", 16)
    (found,) = found_in(tmp_path / "out")
    assert np.array_equal(found.masks[0], ~outside)
    with pytest.raises(DataError, match="a budget of 17 lines is more than the 16 of 28 columns that are free"):
        acquire(tmp_path / "data", tmp_path / "more", "--policy", "random", "--given", 6, "--budget", 17)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a policy is that of a run, --weights RUN, or one by name, --policy NAME; found neither"),
        (("--policy", "random", "--weights", "."), "--policy NAME; found both"),
        (("--policy", "random", "--given", 4), "--policy random needs --budget, numbers of lines"),
        (("--weights", ".", "--given", 4, "--set", "a=1"), "says what its policy is for; leave out --set and --given"),
        (("--policy", "foo", "--given", 4, "--budget", 4), "no policy is called 'foo'; there are random"),
        (("--policy", "random", "--given", 4, "--budget", 4, "--set", "a=1"), "policy random has no setting 'a'"),
        (("--policy", "random", "--given", 4, "--budget", 0), "--given and --budget are at least 1, found 4 and 0"),
        (("--policy", "random", "--given", 4, "--budget", 25), "a budget of at most 24 would do"),
        (("--policy", "random", "--given", 4, "--budget", 4, "--reconstructor", "foo"), "no reconstructor is called"),
        (("--policy", "random", "--given", 4, "--budget", 4, "--reconstructor", ""), "no reconstructor is called ''"),
        (("--policy", "random", "--given", 4, "--budget", 4, "--patients", "p.csv"), "give that too"),
        (("--policy", "oracle", "--given", 4, "--budget", 4, "--set", "batch_size=0"), "at least 1, found 0"),
        (("--policy", "random", "--given", 4, "--budget", 4, "--held-out"), "--held-out is for networks"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_no_folder(data, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        acquire(data, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_network_that_chooses_its_lines_is_no_reconstructor(run, tmp_path):
    weights = save_adaptive(tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="adaptive_varnet chooses its lines itself; `mrikit reconstruct` takes it"):
        run("--reconstructor", weights)


def test_undersampled_volumes_are_named(tmp_path):
    write_volumes(tmp_path / "data", num_volumes=1, mask=np.arange(28) % 2 == 0)
    with pytest.raises(DataError, match=r"v0\.h5, slice 0: acquired undersampled; lines can only be chosen of full"):
        acquire(tmp_path / "data", tmp_path / "out", "--policy", "random", "--given", 4, "--budget", 4)


def test_another_policy_needs_another_folder(run):
    run()
    with pytest.raises(ConfigError, match="is for reconstructions with model low_to_high, asked for random"):
        run(policy="random")


def test_a_setting_that_differs_is_named_alone(run):
    run()
    with pytest.raises(ConfigError, match=r"with model_config.budget 5, asked for 6; choose another --out$"):
        run(budget=6)
    with pytest.raises(ConfigError, match=r"with model_config.reconstructor zero_filled, asked for cg_sense;"):
        run("--reconstructor", "cg_sense")
    with pytest.raises(ConfigError, match=r"with model_config.policy_config.is_centered none, asked for False;"):
        run("--set", "is_centered=false")


def test_a_run_is_the_same_however_its_settings_are_written(run):
    run("--set", "alternates_sides=False")
    assert run("--set", "alternates_sides=false").stdout.startswith("low_to_high: 0 volumes, 0 slices; 2 were done")
    run(out="other")
    assert run("--set", "alternates_sides=true", out="other").stdout.startswith("low_to_high: 0 volumes")


def test_an_order_that_was_changed_in_its_file_is_another_run(run, tmp_path):
    order = tmp_path / "order.json"
    order.write_text(json.dumps([3, 1, 4, 5, 9]))
    run("--set", f"file={order}", policy="fixed_order")
    assert found_in(tmp_path / "out")[0].decisions.steps[0, 3] == 1
    order.write_text(json.dumps([9, 5, 4, 1, 3]))
    with pytest.raises(ConfigError, match=r"with model_config.policy_digest \w{8}, asked for \w{8}; choose another"):
        run("--set", f"file={order}", policy="fixed_order")


def test_weights_of_a_policy_are_no_reconstructor(run, tmp_path):
    write_tensors(tmp_path / "p.safetensors", {"weight": torch.zeros(2)}, {"policy": "ss_ddqn"})
    with pytest.raises(CheckpointError, match=r"weights of the policy ss_ddqn, not of a network .*`mrikit acquire --w"):
        run("--reconstructor", tmp_path / "p.safetensors")
