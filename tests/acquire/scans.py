"""Small scans and the environments on them."""

import numpy as np
from phantoms import make_volume

from mrikit.acquire.environment import AcquireEnv
from mrikit.acquire.vector import AcquireVectorEnv

SIZE = (32, 28)
WINDOW = (24, 20)


def make_scans(num_volumes=2, num_coils=3, size=SIZE, num_slices=2):
    return [
        make_volume(num_slices=num_slices, num_coils=num_coils, size=size, window=WINDOW, volume_id=f"file{number}")
        for number in range(num_volumes)
    ]


def make_env(data=None, reconstructor="zero_filled", budget=4, initial=6, **settings):
    return AcquireEnv(data or make_scans(), reconstructor, budget, initial, **settings)


def make_vector(data=None, reconstructor="zero_filled", budget=4, initial=6, num_envs=3, **settings):
    return AcquireVectorEnv(data or make_scans(), reconstructor, budget, initial, num_envs=num_envs, **settings)


def free_columns(env, rng):
    """A free column of each row, at random."""
    return np.array([rng.choice(np.flatnonzero(mask)) for mask in np.atleast_2d(env.action_masks())])
