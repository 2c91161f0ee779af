"""Training: one loop for every network, its losses, settings and metrics."""

from mrikit.training.config import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.plan import RunPlan, count_weights, plan_run
from mrikit.training.process import ToldElsewhereError
from mrikit.training.run_folder import load_run_config
from mrikit.training.train import TrainSummary, train

__all__ = [
    "DataConfig",
    "ExecutionConfig",
    "RunConfig",
    "RunPlan",
    "ToldElsewhereError",
    "TrainSummary",
    "TrainingConfig",
    "count_weights",
    "load_run_config",
    "plan_run",
    "train",
]
