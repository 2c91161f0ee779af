import io

import numpy as np
import pytest
from matplotlib.image import imread

from mrikit.masks import measured
from mrikit.masks.picture import draw_mask


@pytest.mark.parametrize("shape", [(20,), (24, 20)])
def test_a_learned_mask_has_its_probabilities_beside_it(shape):
    samples = np.arange(np.prod(shape)).reshape(shape) % 4 == 0
    mask = measured(samples, kind="learned", acceleration=4, num_center_lines=0)
    plain, learned = (
        imread(io.BytesIO(draw_mask(mask, (24, 20), probabilities)), format="png")
        for probabilities in (None, np.full(shape, 0.5, np.float32))
    )
    assert learned.shape[0] == plain.shape[0]
    assert learned.shape[1] == pytest.approx(plain.shape[1] * 4 / 3, abs=1)
