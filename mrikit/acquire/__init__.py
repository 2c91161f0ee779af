"""Active acquisition: environments in which a policy chooses the next line of k-space to measure.

Importing this registers `mrikit/Acquire-v0` with gymnasium, and loads nothing else, no torch either. The environments
are in `environment.py` and `vector.py`.
"""

import contextlib

from mrikit.acquire.registration import ENV_ID, register

__all__ = ["ENV_ID", "register"]

with contextlib.suppress(ModuleNotFoundError):  # without the extra `rl` the rest of the room still works
    register()
