"""What a run trains with, built from its settings."""

import dataclasses

import pytest
import torch
from torch import nn
from training.small_run import CONFIG, PROMPTMR, are_same_bits, newest_state, run
from training.test_train import stop_at

from mrikit.models.prompt_unet import PromptUnet
from mrikit.runs.process import joined
from mrikit.training.objectives import decaying_groups
from mrikit.training.optimizer import build_optimizer

SMALL = dataclasses.replace(
    CONFIG, model="promptmr", model_config=PROMPTMR, training=dataclasses.replace(CONFIG.training, num_epochs=1)
)


def test_compiling_takes_the_convolutional_parts_of_the_network(study, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module)))
    run(study, tmp_path, config=SMALL, execution__compile=True)
    assert compiled == [PromptUnet] * 2


def test_compiling_what_has_no_such_part_says_that_it_has_no_effect(study, tmp_path):
    lines = []
    run(study, tmp_path, lines=lines, training__num_epochs=1, execution__compile=True)
    assert lines[0] == "execution.compile has no effect on varnet, which has no part to compile"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_compiled_run_learns_what_an_eager_one_does(study, tmp_path):
    """With everything that torch.compile does but code of its own, which takes a minute."""
    settings = {"data__num_volumes": 2, "training__ema_decay": 0.0}
    run(study, tmp_path / "eager", config=SMALL, **settings)
    original = nn.Module.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "compile", lambda module: original(module, backend="aot_eager"))
        run(study, tmp_path / "compiled", config=SMALL, execution__compile=True, **settings)
    eager, compiled = newest_state(tmp_path / "eager"), newest_state(tmp_path / "compiled")
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_frozen_parameters_stay_and_are_in_the_checkpoint(study, tmp_path, stage):
    config = dataclasses.replace(SMALL, model_config={**PROMPTMR, "learnable_prompts": False})
    settings = {"execution__zero_stage": stage, "training__weight_decay": 0.1}
    run(study, tmp_path / "whole", config=config, **settings)
    state = newest_state(tmp_path / "whole")
    frozen = [name for name in state if name.startswith("weights/") and f"exp_avg/{name[8:]}" not in state]
    assert frozen
    assert all(state[name].min() >= 0 and state[name].max() <= 1 for name in frozen)
    run(study, tmp_path / "parts", config=config, on_row=stop_at(3), **settings)
    run(study, tmp_path / "parts", config=config, **settings)
    assert are_same_bits(newest_state(tmp_path / "parts"), state)


def test_only_kernels_decay():
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.PReLU(), nn.Linear(3, 2))
    training = dataclasses.replace(CONFIG.training, weight_decay=0.1)
    with joined("cpu"):
        groups = decaying_groups("network", network.parameters(), training.weight_decay)
        optimizer = build_optimizer(groups, training, CONFIG.execution, lambda _line: None)
    kernels, others = optimizer.param_groups
    assert [weight.ndim for weight in kernels["params"]] == [4, 2]
    assert [weight.ndim for weight in others["params"]] == [1, 1, 1]
    assert (kernels["weight_decay"], others["weight_decay"]) == (0.1, 0)
