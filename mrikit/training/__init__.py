"""Training: one loop for every network, its losses, settings and metrics."""

from mrikit.training.config import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.deepspeed_config import accumulation_steps
from mrikit.training.fitting import fit
from mrikit.training.memory import parse_bytes
from mrikit.training.plan import RunPlan, count_weights, plan_run
from mrikit.training.predict import Prediction, describe_prediction, predict_run
from mrikit.training.process import ToldElsewhereError
from mrikit.training.run_folder import load_run_config
from mrikit.training.throughput import known_gpu
from mrikit.training.tracking import require_trackers
from mrikit.training.train import TrainSummary, train

__all__ = [
    "DataConfig",
    "ExecutionConfig",
    "Prediction",
    "RunConfig",
    "RunPlan",
    "ToldElsewhereError",
    "TrainSummary",
    "TrainingConfig",
    "accumulation_steps",
    "count_weights",
    "describe_prediction",
    "fit",
    "known_gpu",
    "load_run_config",
    "parse_bytes",
    "plan_run",
    "predict_run",
    "require_trackers",
    "train",
]
