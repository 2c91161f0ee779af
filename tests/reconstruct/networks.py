"""Small models and weights for tests of reconstruction."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mrikit.checkpoint import Weights, save_weights
from mrikit.models import build_model, model_settings
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import Method

SETTINGS = {"num_channels": 2, "num_pools": 1}


@dataclass(frozen=True)
class WatchConfig:
    num_adjacent: int = 1


class Watch(nn.Module):
    """Zero-filled reconstruction of the middle slice; remembers what it was given."""

    def __init__(self, num_adjacent=1):
        super().__init__()
        self.config = WatchConfig(num_adjacent)
        self.seen = []

    def forward(self, masked_kspace, mask, num_center_lines):
        self.seen.append(masked_kspace.clone())
        middle = masked_kspace[:, self.config.num_adjacent // 2] if self.config.num_adjacent > 1 else masked_kspace
        return rss(ifft2c(middle))


def trained(model, flips=False, **record):
    """A method of a model as if its weights had been loaded."""
    weights = Weights(
        model="watch",
        model_config={"num_adjacent": model.config.num_adjacent},
        tensors={},
        sha256="0" * 64,
        record=record,
        path=Path("watch.safetensors"),
    )
    return Method(name="watch", model=model, weights=weights, flips=flips)


def save_unet(path, seed=0, **record):
    """Weights of a tiny U-Net; their digest."""
    return _save(path, "unet", SETTINGS, seed, record)


def save_classifier(path, bias, **record):
    """Weights of a classifier that always gives these logits."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("anatomy_net", {"num_channels": 2, "num_layers": 1})
    nn.init.zeros_(model.output.weight)
    model.output.bias.data = torch.tensor(bias)
    return save_weights(path, "anatomy_net", model_settings(model), model.state_dict(), record)


def unet(seed=0):
    """The network of `save_unet`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model("unet", SETTINGS).eval()


def masks(*accelerations):
    """Plans as a record has them."""
    return [{"kind": "equispaced", "acceleration": float(one), "center_fraction": 0.2} for one in accelerations]


def _save(path, name, settings, seed, record):
    model = unet(seed)
    return save_weights(path, name, model_settings(model), model.state_dict(), record)
