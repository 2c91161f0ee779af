"""Policies that were trained, on volumes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from acquire.learning.small_policy import CONFIG
from reconstruct.learned_weights import network, write_volumes
from typer.testing import CliRunner

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import open_slices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.playing import observe
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.acquire.starts import given_lines
from mrikit.acquire.trained import ReconstructorInfo, load_trained, reconstructor_info, save_trained
from mrikit.acquire.using import trained_routing
from mrikit.checkpoint import save_weights
from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.models import model_settings
from mrikit.reconstruct import reconstruct_folder
from mrikit.run_files import WEIGHTS_FILE
from mrikit.training import DataConfig
from mrikit.volumes.reconstruction import read_reconstruction

MATRIX = (20, 16)
EPISODE = {"num_given": 4, "budget": 5}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("study") / "data")


ZERO_FILLED = ReconstructorInfo(name="zero_filled")


def save_policy(path, info=ZERO_FILLED, matrix=MATRIX, is_cropped=True, **record):
    """A policy of random weights, as a run that learned at that matrix leaves it."""
    torch.manual_seed(1)
    episode = replace(CONFIG.episode, **EPISODE)
    of = DataConfig(matrix=matrix if is_cropped else ())
    config = replace(CONFIG, policy_config={"num_channels": 4, "num_layers": 2}, episode=episode, data=of)
    policy = build_policy("ss_ddqn", config.policy_config, PolicySetting(matrix=matrix, **EPISODE))
    save_trained(path, config, policy.network, matrix, info, record)
    return path


def save_run(run, **record):
    """Both stages of a run: SPIRiT, and a policy on it."""
    made = network()
    facts = {"trained_on": ["v0"], "matrix": list(MATRIX)}
    first = run / "stage-1" / WEIGHTS_FILE
    save_weights(first, "spirit_net", model_settings(made), made.state_dict(), facts)
    save_policy(run / "stage-2" / WEIGHTS_FILE, reconstructor_info(first), **record)
    return run


def acquire(data, out, *words):
    words = ["acquire", "--data", data, "--out", out, "--device", "cpu", *words]
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def played(policy, reconstructor, data):
    """(slice, phase) lines that a policy measures in the environment, and (slice,) the score after the last."""
    config = AcquireConfig(taken="refuse")
    ready = as_reconstructor(reconstructor)
    slices = open_slices(data, replace(ready, matrix=MATRIX), config)
    episodes = Episodes(slices, ready, given_lines(4, MATRIX[1]), 5, config, num_rows=len(slices))
    rows = list(range(len(slices)))
    episodes.begin(rows, rows, [4] * len(rows))
    for _ in range(5):
        episodes.measure(policy.choose(observe(episodes), []).numpy())
    return episodes.mask


def test_it_measures_what_it_measured_while_it_learned(data, tmp_path):
    run = save_policy(tmp_path / "w.safetensors")
    reconstruct_folder(data, tmp_path / "out", trained_routing(run))
    found = [read_reconstruction(path) for path in sorted((tmp_path / "out").glob("*.h5"))]
    expected = played(load_trained(run).policy, "zero_filled", data)
    assert np.array_equal(np.concatenate([volume.masks for volume in found]), expected)


def test_the_stage_before_it_makes_its_images(data, tmp_path):
    run = save_run(tmp_path / "run", trained_on=["v1"])
    done = acquire(data, tmp_path / "out", "--weights", run)
    assert done.stdout.startswith("ss_ddqn: 2 volumes, 4 slices, ")
    assert "2 of 2 volumes were trained on" in done.stderr
    found = [read_reconstruction(path) for path in sorted((tmp_path / "out").glob("*.h5"))]
    expected = played(load_trained(run).policy, run / "stage-1", data)
    assert np.array_equal(np.concatenate([volume.masks for volume in found]), expected)
    assert found[0].config["model_config"]["reconstructor"] == "spirit_net"
    assert found[0].weights_sha256 == load_trained(run).sha256


def test_patients_that_either_was_trained_on_are_left_out(data, tmp_path):
    run = save_run(tmp_path / "run")
    acquire(data, tmp_path / "out", "--weights", run, "--held-out")
    assert [path.name for path in (tmp_path / "out").glob("*.h5")] == ["v1.h5"]


def test_a_reconstructor_elsewhere_is_named_and_another_is_refused(data, tmp_path):
    run = save_run(tmp_path / "run")
    (tmp_path / "run" / "stage-1").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="learned with spirit_net, which is not in the folder of its run; name it"):
        acquire(data, tmp_path / "out", "--weights", run)
    acquire(data, tmp_path / "out", "--weights", run, "--reconstructor", tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"ss_ddqn was learned with spirit_net of digest .*, not with zero_filled"):
        acquire(data, tmp_path / "other", "--weights", run, "--reconstructor", "zero_filled")


def test_volumes_of_another_matrix_are_named(data, tmp_path):
    run = save_policy(tmp_path / "w.safetensors", is_cropped=False)
    with pytest.raises(DataError, match=r"v0\.h5, slice 0: k-space of 32 x 28, and the policy was learned for 20 x 16"):
        acquire(data, tmp_path / "out", "--weights", run)


def test_a_policy_that_learns_has_no_name_here(data, tmp_path):
    with pytest.raises(ConfigError, match="policy ss_ddqn learns; train it, and give the run with --weights"):
        acquire(data, tmp_path / "out", "--policy", "ss_ddqn", "--given", 4, "--budget", 5)
