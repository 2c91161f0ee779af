"""Training: one loop for every network, its losses, settings and metrics."""

from mrikit.training.config import DataConfig, ExecutionConfig, RunConfig, TrainingConfig, load_run_config
from mrikit.training.deepspeed_config import accumulation_steps
from mrikit.training.extent import RunPlan, count_weights, plan_run
from mrikit.training.train import TrainSummary, train

__all__ = [
    "DataConfig",
    "ExecutionConfig",
    "RunConfig",
    "RunPlan",
    "TrainSummary",
    "TrainingConfig",
    "accumulation_steps",
    "count_weights",
    "load_run_config",
    "plan_run",
    "train",
]
