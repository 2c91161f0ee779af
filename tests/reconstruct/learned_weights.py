"""Weights of tiny networks with masks of their own, as if they had been trained, and volumes of their matrix."""

from dataclasses import asdict, replace

import numpy as np
import torch
from phantoms import make_volume

from mrikit.checkpoint import save_weights
from mrikit.models import build_model, model_settings
from mrikit.models.samplers import Sampler, SamplerConfig
from mrikit.volumes import write_fastmri

SHAPE = (32, 28)
SPIRIT = {"num_coils": 2, "num_blocks": 2, "kernel": (3, 3)}
POINTS = SamplerConfig(kind="global", directions=2, acs="square", num_acs=4, shape=SHAPE)
LINES = SamplerConfig(kind="lines", acs="column", num_acs=4, shape=SHAPE)
ADAPTIVE = {
    "num_cascades": 3,
    "num_channels": 2,
    "num_pools": 1,
    "num_sens_channels": 0,
    "budget": 5,
    "matrix": SHAPE,
    "num_policy_channels": 2,
    "policy_fc_size": 8,
}
START = 4 / 28
"""Share of the lines that an adaptive network begins with."""


def write_volumes(data, num_volumes=2, size=SHAPE, mask=None):
    """Volumes of two coils and two slices with noise."""
    rng = np.random.default_rng(0)
    for number in range(num_volumes):
        volume = make_volume(2, num_coils=2, size=size, window=(24, 20), volume_id=f"v{number}", mask=mask)
        noise = 0.01 * rng.standard_normal((2, *volume.kspace.shape)).astype(np.float32)
        kspace = volume.kspace + (1 if mask is None else mask) * (noise[0] + 1j * noise[1])
        info = replace(volume.info, patient_id=f"p{number}")
        write_fastmri(data / f"v{number}.h5", volume.replaced(kspace=kspace.astype(np.complex64), info=info))
    return data


def network(model="spirit_net", settings=SPIRIT):
    """The network of the weights below."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(model, settings).eval()


def sampler_of(config=POINTS, accelerations=(3.0, 6.0)):
    """The sampler of the weights below."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Sampler(config, accelerations).eval()


def save_learned(path, config=POINTS, accelerations=(3.0, 6.0), model="spirit_net", settings=SPIRIT, **record):
    """Weights with a sampler; their file."""
    made = network(model, settings)
    tensors = made.state_dict() | {
        f"sampler/{name}": value for name, value in sampler_of(config, accelerations).state_dict().items()
    }
    record = {"masks": plans(accelerations), "sampler": asdict(config)} | record
    save_weights(path, model, model_settings(made), tensors, record)
    return path


def save_adaptive(path, settings=None, **record):
    """Weights of a network that chooses its lines, 28 / 9 times fewer than there are; their file."""
    made = network("adaptive_varnet", ADAPTIVE | (settings or {}))
    record = {"masks": plans([28 / 9], START)} | record
    save_weights(path, "adaptive_varnet", model_settings(made), made.state_dict(), record)
    return path


def plans(accelerations, center_fraction=0.0):
    """As a record has them."""
    return [
        {"kind": "learned", "acceleration": float(one), "center_fraction": center_fraction} for one in accelerations
    ]
