"""TorchRL, or the name of what has to be installed for it."""

from mrikit.errors import ConfigError

try:
    from tensordict import TensorDict
    from torchrl.modules import QValueActor
    from torchrl.objectives import DQNLoss, HardUpdate, ValueEstimators
except ImportError as error:
    raise ConfigError(
        f"double Q-learning needs packages that are not installed; `pip install 'mrikit[rl]'` ({error.name})"
    ) from error

__all__ = ["DQNLoss", "HardUpdate", "QValueActor", "TensorDict", "ValueEstimators"]
