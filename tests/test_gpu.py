"""What must hold on a CUDA device too; these tests skip where there is none."""

import numpy as np
import pytest
import torch
from phantoms import make_kspace, make_volume

from mrikit.data import MaskPlan
from mrikit.metrics import measure_volume
from mrikit.models import CLASSICAL, build_model
from mrikit.physics.coils import adaptive_combine, compress_coils, rss
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.reconstruct.method import Method
from mrikit.reconstruct.volume import reconstruct_volume
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("model", sorted(CLASSICAL))
def test_every_model_gives_the_same_image_as_on_the_cpu(tmp_path, model):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())
    plan = MaskPlan(kind="equispaced", acceleration=3, center_fraction=0.3)
    images = {}
    for device in ("cpu", "cuda"):
        config = ReconstructConfig(model=model, mask=plan)
        reconstruct_folder(tmp_path / "data", tmp_path / device, config, device=device)
        images[device] = read_reconstruction(tmp_path / device / "file1000001.h5").image
    np.testing.assert_allclose(images["cuda"], images["cpu"], atol=1e-3 * images["cpu"].max())


def test_coils_are_combined_and_compressed_on_the_device():
    kspace = make_kspace()
    for work in (lambda k: adaptive_combine(ifft2c(k)).abs(), lambda k: rss(ifft2c(compress_coils(k, 3)))):
        there = work(kspace.cuda())
        assert there.is_cuda
        torch.testing.assert_close(there.cpu(), work(kspace), rtol=1e-3, atol=1e-3)


def test_scores_are_the_same_on_the_device():
    reference = torch.rand(3, 40, 36, generator=torch.Generator().manual_seed(0))
    image = reference + 0.1 * torch.rand(3, 40, 36, generator=torch.Generator().manual_seed(1))
    there, here = measure_volume(image.cuda(), reference.cuda()), measure_volume(image, reference)
    assert there.ssim == pytest.approx(here.ssim, abs=1e-5)
    assert there.nmse == pytest.approx(here.nmse, rel=1e-5)


def test_slices_of_a_volume_together_give_the_same_images(tmp_path):
    volume = make_volume(num_slices=5)
    plan = MaskPlan(kind="equispaced", acceleration=3, center_fraction=0.3)
    method = Method(name="varnet", model=build_model("varnet", {"num_cascades": 2}).cuda().eval())
    alone, together = (
        reconstruct_volume(volume, method, plan, device="cuda", slices_at_a_time=size).image for size in (1, 4)
    )
    np.testing.assert_allclose(together, alone, atol=1e-4 * alone.max())
