"""Regular lines in both halves of k-space, counted from its middle outwards."""

import numpy as np
import numpy.typing as npt

Lines = npt.NDArray[np.bool_]


def stepped(size: int, start: int, step: int) -> Lines:
    """(size,) bool, True at every `step`-th place from `start` on."""
    lines = np.zeros(size, bool)
    lines[start::step] = True
    return lines


def spread(size: int, start: float, distance: float) -> Lines:
    """(size,) bool, True at the places nearest to `start` and so on at a distance that may be no whole number.

    The last place is never one of them, as in fastMRI, whose public test data was made so.
    """
    lines = np.zeros(size, bool)
    lines[np.around(np.arange(start, size - 1, distance)).astype(int)] = True
    return lines


def join_halves(positive: Lines, negative: Lines) -> Lines:
    """(phase,) bool from both halves, each from the middle outwards; the positive one begins with the middle column."""
    return np.fft.fftshift(np.concatenate((positive, negative[::-1])))


def half_sizes(width: int) -> tuple[int, int]:
    """Columns of the positive and of the negative half."""
    return (width + 1) // 2, width // 2


def magic_starts(offset: int, step: float, rule: str) -> tuple[float, float]:
    """Where the lines of both halves begin, places from the middle outwards.

    Conjugate symmetry lets a line at -k stand for one at k. The place p of the negative half is -(p + 1), so the lines
    from places a and b complete each other best where b + 1 lies half a step beside a.

    Args:
        offset: Even and odd ones swap the halves.
        step: From one line to the next; not whole only for the rule `even`.
        rule: `fastmri` moves the lines by the offset and keeps b + 1 two columns beside a, which is half a step at 4x
            alone. `banding` keeps them at 1 and 2, or 3 and 0; `banding_v2` too, but it takes the offset modulo the
            step first, which changes odd steps. `even` is half a step beside at any step, as near as columns allow.
    """
    if rule == "banding_v2":
        offset %= round(step)
    if rule in ("banding", "banding_v2"):
        offset %= 2
    if rule != "even":
        return (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    near, far = step / 4, step / 4 + step / 2
    if step == round(step):
        near, far = step // 4, step // 4 + step // 2
    positive, mirrored = (near, far) if offset % 2 == 0 else (far, near)
    return positive, (mirrored - 1) % step
