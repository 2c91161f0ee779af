"""How often an agent explores."""

import math


def exploration(num_steps: int, *, decay_steps: float, first: float = 1.0, last: float = 0.01) -> float:
    """The chance of a random line after so many steps, from `first` towards `last` by 1/e each `decay_steps`.

    The published digits agent counts updates and has 0.996 for `decay_steps`: it is over after five of them.
    """
    return last + (first - last) * math.exp(-num_steps / decay_steps)
