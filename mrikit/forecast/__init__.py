"""Memory, time and cost of a run, predicted."""

from mrikit.forecast.fitting import fit
from mrikit.forecast.memory import parse_bytes
from mrikit.forecast.predict import Prediction, describe_prediction, predict_run
from mrikit.forecast.throughput import known_gpu

__all__ = ["Prediction", "describe_prediction", "fit", "known_gpu", "parse_bytes", "predict_run"]
