import dataclasses

import pytest
import torch
from acquire.learning.small_policy import CONFIG, learn

from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig
from mrikit.acquire.policies import Observation
from mrikit.acquire.trained import ReconstructorInfo, load_trained, reconstructor_info, require_reconstructor
from mrikit.checkpoint import read_record, read_tensors, write_tensors
from mrikit.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def learned(study, once):
    return once("learned-policy", lambda folder: learn(study, folder, learning__num_steps=24))


def rewritten(source, path, tensors=None, **changes):
    """A copy of a file of weights with some of its record or tensors changed."""
    record = {name: value for name, value in read_record(source).items() if name not in ("format", "mrikit_version")}
    write_tensors(path, {**read_tensors(source), **(tensors or {})}, record | changes)
    return path


def test_a_policy_is_loaded_as_it_was_learned(learned):
    trained = load_trained(learned)
    assert trained.episode == CONFIG.episode
    assert trained.data.matrix == (16, 16)
    assert dict(trained.policy_config) == dict(CONFIG.policy_config)
    weights = read_tensors(learned / "weights.safetensors")
    for name, value in trained.policy.network.state_dict().items():
        assert torch.equal(value, weights[name])
    assert not trained.policy.network.training
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[:, 7:9] = True
    seen = Observation(
        reconstruction=torch.rand(1, 1, 16, 16),
        mask=mask,
        is_free=~mask,
        num_decisions=torch.zeros(1, dtype=torch.int64),
    )
    assert bool(seen.is_free[0, trained.policy.choose(seen, [])[0]])


def test_a_file_and_its_folders_mean_the_same(learned, tmp_path):
    stage = tmp_path / "stage-2"
    stage.mkdir()
    (stage / "weights.safetensors").write_bytes((learned / "weights.safetensors").read_bytes())
    assert load_trained(tmp_path).sha256 == load_trained(stage / "weights.safetensors").sha256


def test_it_is_refused_with_another_reconstructor(learned, trained_reconstructor):
    trained = load_trained(learned)
    require_reconstructor(trained, reconstructor_info("zero_filled"))
    with pytest.raises(
        ConfigError, match=r"ss_ddqn was learned with zero_filled, not with unet of digest [0-9a-f]{12};"
    ):
        require_reconstructor(trained, reconstructor_info(trained_reconstructor[0]))
    other = dataclasses.replace(trained, reconstructor=reconstructor_info(trained_reconstructor[0]))
    with pytest.raises(ConfigError, match=r"learned with unet of digest [0-9a-f]{12}, not with unet of digest"):
        require_reconstructor(other, reconstructor_info(trained_reconstructor[1]))
    assert reconstructor_info("zero_filled") == ReconstructorInfo(name="zero_filled")


def test_weights_of_a_network_are_no_policy(trained_reconstructor):
    with pytest.raises(CheckpointError, match="weights of the network unet, not of a policy"):
        load_trained(trained_reconstructor[0])


def test_a_folder_without_a_policy_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no weights of a policy"):
        load_trained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "clairvoyant"}, "not known here: no policy is called 'clairvoyant'"),
        ({"episode": {"num_given": 2}}, "weights of a policy that is not known here"),
        ({"matrix": [16, 20]}, "weights for another network than the file says, such as evaluator"),
        ({"tensors": {"evaluator.output.bias": torch.full((16,), torch.nan)}}, "evaluator.output.bias holds NaN"),
    ],
)
def test_damaged_weights_are_refused_on_one_line(learned, tmp_path, changes, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        load_trained(rewritten(learned / "weights.safetensors", tmp_path / "odd.safetensors", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "low_to_high", "policy_config": {}}, "the policy low_to_high needs no training; those that learn"),
        ({"reconstructor": "unet"}, "reconstructor is one of .*, or empty for weights; found 'unet'"),
        ({"policy_config": {"batch_sise": 2}}, "no setting 'batch_sise'; did you mean 'batch_size'"),
        ({"policy_config": {"batch_size": 0}}, "policy_config.batch_size is at least 1, found 0"),
        ({"policy_config": {"discount": 1.5}}, "policy_config.discount is from 0 to 1, found 1.5"),
        ({"policy_config": {"decay_steps": 0.0}}, "policy_config.decay_steps is above 0, found 0"),
        ({"policy_config": {"largest_gradient": 0.0}}, "policy_config.largest_gradient is above 0"),
        ({"policy_config": {"last_exploration": -0.1}}, "policy_config.last_exploration is from 0 to 1"),
        ({"policy_config": {"cache_mb": -1.0}}, "policy_config.cache_mb is 0 or more, found -1"),
        ({"policy_config": {"burn_in": 9, "replay_size": 8}}, "burn_in 9 is more than replay_size 8"),
        ({"policy_config": {"num_channels": 0, "num_layers": 2}}, "an evaluator needs width >= 1, num_channels >= 1"),
        ({"policy": "ds_ddqn", "policy_config": {"num_hidden": 0}}, "num_hidden >= 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, study, tmp_path):
    with pytest.raises(ConfigError, match=message):
        learn(study, tmp_path, config=dataclasses.replace(CONFIG, **settings))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (EpisodeConfig, {"num_given": 0, "budget": 1}, "are at least 1, found 0 and 1"),
        (EpisodeConfig, {"num_given": 1, "budget": 1, "score": "sim"}, "episode.score is one of ssim"),
        (EpisodeConfig, {"num_given": 1, "budget": 1, "reward": "all"}, "episode.reward is gain or final"),
        (LearningConfig, {"num_rows": 0}, "learning.num_rows is at least 1"),
        (LearningConfig, {"max_lr": 0.0}, "learning.max_lr is above 0"),
        (LearningConfig, {"split_seed": -1}, "learning.split_seed is 0 or more"),
    ],
)
def test_episodes_and_learning_have_limits(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        kind(**settings)
