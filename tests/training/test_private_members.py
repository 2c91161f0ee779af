"""Private members of torch and DeepSpeed that mrikit uses: a version without one fails here, by its name."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

from mrikit.runs.process import joined

ROOT = Path(__file__).parents[2]
MODULE_MEMBERS = {
    "torch._subclasses.fake_tensor": {"FakeTensorMode"},
    "torch.utils._python_dispatch": {"TorchDispatchMode"},
    "torch.utils._pytree": {"tree_iter"},
    "torch.utils.flop_counter": {"flop_registry"},  # public by its name, documented nowhere
    "deepspeed.ops": {"__compatible_ops__"},
    "deepspeed.comm.comm": {"cdb"},
    "deepspeed.utils.groups": {"_WORLD_GROUP", "_ZERO_PARAM_INTRA_PARALLEL_GROUP"},
    "deepspeed.utils": {
        "safe_get_full_optimizer_state",
        "safe_set_full_optimizer_state",
        "safe_set_local_optimizer_state",
    },
}
OPTIMIZER_MEMBERS = {
    1: {"optimizer", "_lazy_init_hp_params_optimizer_state"},
    2: {"optimizer", "_lazy_init_hp_params_optimizer_state"},
    3: {"optimizer", "fp32_partitioned_groups_flat"},
}
CPU_ADAM_MEMBERS = {"ds_opt_adam", "opt_id"}  # an object of it needs a compiler: test_offload.py uses them
PARAMETER_MEMBERS = {"ds_tensor", "ds_shape"}  # with ZeRO 3


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in MODULE_MEMBERS for name in sorted(MODULE_MEMBERS[module])]
)
def test_a_private_member_of_a_module_is_there(module, name):
    assert hasattr(importlib.import_module(module), name), f"{module} has no {name} any more"


def test_the_names_of_deepspeeds_operators_hold_the_one_that_is_switched_off():
    assert "deepspeed_shm_comm" in importlib.import_module("deepspeed.ops").__compatible_ops__


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_private_members_of_a_zero_stage_are_there(stage):
    import deepspeed

    config = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": stage, **({"memory_efficient_linear": False} if stage == 3 else {})},
        "zero_allow_untested_optimizer": True,
    }
    with joined("cpu"):
        network = nn.Linear(4, 4)
        engine, *_ = deepspeed.initialize(
            model=network, optimizer=torch.optim.AdamW(network.parameters()), config=config, dist_init_required=False
        )
        assert {name for name in OPTIMIZER_MEMBERS[stage] if not hasattr(engine.optimizer, name)} == set()
        if stage == 3:
            assert {name for name in PARAMETER_MEMBERS if not hasattr(network.weight, name)} == set()
        engine.destroy()


def test_cpu_adam_keeps_its_operator_and_its_number():
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    source = inspect.getsource(DeepSpeedCPUAdam)
    assert {name for name in CPU_ADAM_MEMBERS if f"self.{name}" not in source} == set()


def test_every_private_name_that_is_imported_stands_in_the_list():
    known = {(module, name) for module, names in MODULE_MEMBERS.items() for name in names}
    used = set()
    for path in (ROOT / "mrikit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("torch.", "deepspeed.")):
                private = any(part.startswith("_") for part in node.module.split("."))
                used |= {(node.module, one.name) for one in node.names if private or one.name.startswith("_")}
    assert used
    assert used - known == set()
