"""The episode of the digits agent with a SPIRiT reconstructor (golden/mnist_rl.npz)."""

import numpy as np
import pytest
import torch

from mrikit.acquire.vector import AcquireVectorEnv
from mrikit.models.spirit_net import SpiritNet, SpiritNetConfig
from mrikit.volumes import ScanInfo, Volume

PARTS = {"conv_r": "weight_real", "conv_i": "weight_imag"}


@pytest.fixture(scope="module")
def arrays(load_golden):
    found, config = load_golden("mnist_rl")
    return found | {"config": config["env"]}


def reconstructor(arrays):
    """The file's SPIRiT of one coil."""
    config = arrays["config"]
    model = SpiritNet(
        SpiritNetConfig(
            num_coils=1, num_blocks=config["num_blocks"], kernel=tuple(config["kernel_size"]), zeroes_all_centers=True
        )
    )
    name = "env::w::body.{}.model.conv1.{}.weight"
    weights = {
        f"blocks.{block}.{ours}": arrays[name.format(block, theirs)]
        for block in range(config["num_blocks"])
        for theirs, ours in PARTS.items()
    }
    model.load_state_dict(weights, strict=True)
    return model.eval()


def digits(arrays):
    for number, kspace in enumerate(arrays["reconstruction"].numpy()):
        info = ScanInfo(volume_id=f"digit{number}", matrix=(28, 28), recon_matrix=(28, 28), padding=(0, 28))
        yield Volume(kspace=kspace[None], info=info)


def test_its_rewards_scores_and_k_space_equal_the_studys(arrays):
    config = arrays["config"]
    run = config["run"]
    env = AcquireVectorEnv(
        list(digits(arrays)),
        reconstructor(arrays),
        config["budget"],
        2,
        num_envs=3,
        autoreset_mode="DISABLED",
        score="kspace_nmse",
    )
    _, info = env.reset(options={"volume": [f"digit{number}" for number in range(3)]})
    assert [np.flatnonzero(mask).tolist() for mask in env.episodes.mask] == run["initial_columns"]
    np.testing.assert_allclose(info["kspace_nmse"], run["initial_scores"]["nmse"], rtol=1e-5)
    for step in run["steps"]:
        _, rewards, is_over, _, info = env.step(np.array(step["actions"]))
        np.testing.assert_allclose(rewards, step["reward"], atol=1e-6)
        np.testing.assert_allclose(info["kspace_nmse"], step["scores"]["nmse"], rtol=1e-5)
        assert is_over.tolist() == step["done"]
    last = arrays["env::last_reconstruction"]
    assert torch.allclose(env.episodes.kspace, last, rtol=1e-5, atol=1e-6)
