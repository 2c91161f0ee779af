"""Weights of the learned-sampling study, renamed to those of the networks here."""

from collections.abc import Mapping

import torch

from mrikit.errors import CheckpointError

_PARTS = {"conv_r.weight": "weight_real", "conv_i.weight": "weight_imag"}


def spirit_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The study's unrolled SPIRiT in a state dict, also where its learned mask is, with the names of `SpiritNet`.

    Args:
        state: Names of the study: `body.0.model.conv1.conv_r.weight`, within its full model behind `spirit_nn.`.

    Raises:
        CheckpointError: There is no such network.
    """
    found = {}
    for name, weight in state.items():
        block, _, part = name.removeprefix("spirit_nn.").partition(".model.conv1.")
        if block.startswith("body.") and part in _PARTS:
            found[f"blocks.{block.removeprefix('body.')}.{_PARTS[part]}"] = weight
    if not found:
        raise CheckpointError(
            f"holds no network of the form of the study's SPIRiT; found {', '.join(state) or 'nothing'}"
        )
    return found
