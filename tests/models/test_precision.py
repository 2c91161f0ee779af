import pytest
import torch

from mrikit.models.precision import autocast, real_float32


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_convolutions_compute_in_the_precision_asked_for(precision, dtype):
    conv = torch.nn.Conv2d(1, 1, 3)
    with autocast("cpu", precision):
        assert conv(torch.ones(1, 1, 4, 4)).dtype == dtype


def test_tf32_is_off_inside_and_as_before_afterwards():
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(KeyError), real_float32():
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 == before
