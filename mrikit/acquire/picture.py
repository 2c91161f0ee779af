"""What an episode looks like: mask, image and error, side by side."""

import numpy as np
import numpy.typing as npt

_GAP = 4


def draw_episode(
    mask: npt.NDArray[np.bool_],
    image: npt.NDArray[np.float32],
    reference: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    """A picture of one moment.

    Args:
        mask: (phase,) bool.
        image: (y, x) float32 in the scored window.
        reference: (y, x) float32.

    Returns:
        (y, columns, 3) uint8: measured lines white, the image up to the maximum of the reference, and five times the
        error in the same scale.
    """
    largest = float(reference.max()) or 1.0
    panels = [
        np.broadcast_to(mask.astype(np.float32), (len(image), len(mask))),
        image / largest,
        5 * np.abs(image - reference) / largest,
    ]
    gap = np.ones((len(image), _GAP), np.float32)
    grey = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    return np.repeat(np.rint(255 * grey.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
