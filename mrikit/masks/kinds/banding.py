"""What the banding system draws for a mask: centre and acceleration, and the column that its lines go by.

With these, `magic`, `equispaced` and `random` and their fractions are its masks bit for bit; see their settings.

Source:
    Defazio, Murrell, Recht, MRI banding removal via adversarial training, arXiv:2001.08699, and its published code.
"""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def draw_budget(
    counts: Sequence[float], accelerations: Sequence[float], rng: np.random.RandomState
) -> tuple[float, float]:
    """Centre and acceleration, each drawn alone, so that any count may meet any acceleration.

    Args:
        counts: Columns of the centre, or shares.
        accelerations: As many as one likes.
        rng: Of the file; `random` masks go on with it.
    """
    count = counts[rng.randint(len(counts))]
    return count, accelerations[rng.randint(len(accelerations))]


def draw_column(step: float, rng: random.Random) -> int:
    """The column that lines go by where k-space is not asked.

    There it comes from Python's own generator, which its file does not seed: two epochs differ, and so do two runs.

    Args:
        step: From one line to the next.
        rng: `random.Random(seed)` draws as Python's own one after `random.seed(seed)`.
    """
    return rng.randrange(round(step))


def columns_with_signal(kspace: npt.NDArray[np.complex64]) -> tuple[int, int]:
    """[first, last) columns of a slice that are not zero in the sum over coils and rows.

    A column whose samples cancel counts as empty; `mrikit.volumes.Volume.acquired` looks at each sample, and at the
    whole volume.

    Args:
        kspace: (coil, readout, phase) complex.

    Returns:
        The whole width where all is zero.
    """
    places = np.flatnonzero(kspace.sum(axis=(0, 1)))
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, kspace.shape[-1])
