"""Where to compute, from a user's word."""

import os


def pick_device(device: str) -> str:
    """The device by name; `auto` is a GPU if there is one.

    Raises:
        ConfigError: One cannot compute there.
    """
    import torch

    from mrikit.errors import ConfigError

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    # Each process that a launcher started has a GPU of its own, and shall leave nothing on the first.
    own = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device
    try:
        torch.zeros(1, device=own).tolist()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"cannot compute on {device!r}: {str(error).splitlines()[0]}; try --device cpu") from error
    return device
