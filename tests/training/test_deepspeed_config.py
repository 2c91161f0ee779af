import pytest

from mrikit.errors import ConfigError
from mrikit.training import ExecutionConfig, TrainingConfig
from mrikit.training.deepspeed_config import deepspeed_config


def make(training=None, execution=None, world_size=1, **facts):
    facts = {"has_cpu_adam": False, "is_pinned": False} | facts
    return deepspeed_config(
        TrainingConfig(**training or {}), ExecutionConfig(**execution or {}), world_size=world_size, **facts
    )


def test_one_process_without_sharding():
    assert make({"batch_size": 6, "micro_batch_size": 2, "max_grad_norm": 0.5}) == {
        "train_batch_size": 6,
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 3,
        "gradient_clipping": 0.5,
        "zero_optimization": {"stage": 0},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1000000000,
    }


@pytest.mark.parametrize("stage", [1, 2])
def test_buckets_are_not_larger_than_a_small_gpu_can_hold(stage):
    assert make(execution={"zero_stage": stage})["zero_optimization"] == {
        "stage": stage,
        "reduce_bucket_size": 50_000_000,
        "allgather_bucket_size": 50_000_000,
    }


def test_eight_gpus_with_everything_sharded_and_moments_in_host_memory():
    training = {"batch_size": 32, "micro_batch_size": 2}
    execution = {"zero_stage": 3, "offload_optimizer": True}
    assert make(training, execution, world_size=8, has_cpu_adam=True, is_pinned=True) == {
        "train_batch_size": 32,
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.0,
        "zero_optimization": {
            "stage": 3,
            "memory_efficient_linear": False,
            "offload_optimizer": {"device": "cpu", "pin_memory": True},
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": True,
        "steps_per_print": 1000000000,
    }


def test_a_batch_that_the_processes_cannot_share_is_refused():
    with pytest.raises(ConfigError) as caught:
        make({"batch_size": 4, "micro_batch_size": 2}, world_size=4)
    assert str(caught.value) == (
        "4 slices of an optimizer step cannot be shared by 4 processes that take 2 at a time; "
        "set training.batch_size to a multiple of 8"
    )
