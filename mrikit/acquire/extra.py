"""Gymnasium, or the name of what has to be installed for it."""

from mrikit.errors import ConfigError

try:
    import gymnasium
except ImportError as error:
    raise ConfigError(
        f"active acquisition needs packages that are not installed; `pip install 'mrikit[rl]'` ({error.name})"
    ) from error

__all__ = ["gymnasium"]
