"""Trackers, one file for each service."""

from typing import NamedTuple


class Service(NamedTuple):
    """Where the class of a tracker is, and what it needs.

    A package of its own adds one by `SERVICES["aim"] = Service("mrikit_aim:Aim", "aim", "mrikit-aim")`. The class is
    called with the folder and the name of a run, its configuration and the step that it resumes from; what it makes is
    a `mrikit.runs.tracking.Tracker`.
    """

    tracker: str
    """`module:class`; neither is imported before somebody asks for the service."""
    library: str
    """Module that has to be installed."""
    package: str
    """What `pip install` is given to have it."""
    check: str = ""
    """`module:function` that raises a ConfigError if it cannot work here; called before anything long is started."""


SERVICES = {
    "tensorboard": Service("mrikit.runs.trackers.tensorboard:TensorBoard", "tensorboard", "mrikit[tensorboard]"),
    "mlflow": Service(
        "mrikit.runs.trackers.mlflow:MLflow",
        "mlflow",
        "mrikit[mlflow]",
        "mrikit.runs.trackers.mlflow:require_plugin",
    ),
    "wandb": Service("mrikit.runs.trackers.wandb:WeightsAndBiases", "wandb", "mrikit[wandb]"),
}
"""Services that metrics and pictures may go to. None reaches for a network unless the user's settings ask for it."""
