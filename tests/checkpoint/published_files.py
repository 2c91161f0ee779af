"""Files of weights as other programs write them: the names of published networks, folders made by DeepSpeed itself."""

import argparse
import contextlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

GOLDEN = Path(os.environ.get("MRIKIT_GOLDEN", Path(__file__).parents[1] / "golden"))


def load_golden(name):
    """Weights under their published names, the settings of the network, and what it makes of an input."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file if key != "config"}
        config = json.loads(str(file["config"]))
    weights = {key[3:]: array for key, array in arrays.items() if key.startswith("w::")}
    return weights, config, {key: array for key, array in arrays.items() if not key.startswith("w::")}


def challenge_arguments(config, **others):
    """What the challenge's entry keeps in its checkpoints."""
    training = {"task": "brain", "acceleration": 4, "mask_type": "fixed", "max_lr": 1e-4, "step": 3}
    return argparse.Namespace(**training, path=Path("../Data/train"), restart_from_checkpoint=None, **config, **others)


def save_with_deepspeed(folder, weights, arguments, *, zero_stage=1):
    """`folder` with `latest` and the folder of a step, from an engine of one process."""
    from mrikit.runs.process import joined

    network = _as_module(weights)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    config = {
        "train_micro_batch_size_per_gpu": 1,
        # Else DeepSpeed replaces torch's linear for the whole process.
        "zero_optimization": {"stage": zero_stage, "memory_efficient_linear": False},
        "zero_allow_untested_optimizer": True,
    }
    with joined("cpu"), contextlib.redirect_stdout(None):
        import deepspeed

        engine, *_ = deepspeed.initialize(
            model=network, optimizer=torch.optim.AdamW(parameters), config=config, dist_init_required=False
        )
        engine.save_checkpoint(str(folder), tag="epoch-45", client_state={"epoch": 45, "args": arguments})
    return folder


def _as_module(weights):
    """A module whose state dict is `weights`."""
    root = nn.Module()
    for name, tensor in weights.items():
        *owners, leaf = name.split(".")
        module = root
        for owner in owners:
            if owner not in dict(module.named_children()):
                module.add_module(owner, nn.Module())
            module = module.get_submodule(owner)
        module.register_parameter(leaf, nn.Parameter(tensor.clone(), requires_grad="prompt_param" not in name))
    return root
