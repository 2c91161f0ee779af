"""K-space at a smaller matrix, and of fewer coils, before masks are drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import body, coil_maps, make_volume

from mrikit.data import (
    BatchShape,
    MaskPlan,
    SliceDataset,
    SliceKey,
    at_matrix,
    center_crop,
    choose_mask,
    make_example,
    prepare,
    shape_at_matrix,
)
from mrikit.data.at_matrix import crop_to_matrix
from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.volumes import Volume
from mrikit.volumes.geometry import Geometry

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)


def waves(size, window, cycles):
    """K-space of a (y, x) image whose window holds whole cycles of a wave."""
    place = [torch.arange(n) - n // 2 for n in size]
    y, x = (2j * torch.pi * c * p / w for c, p, w in zip(cycles, place, window, strict=True))
    return fft2c(torch.exp(y[:, None] + x[None]).to(torch.complex64))


@pytest.mark.parametrize(
    ("size", "window", "matrix"),
    [((64, 60), (40, 44), (24, 20)), ((63, 61), (41, 44), (24, 21)), ((48, 46), (48, 46), (31, 46))],
)
def test_what_the_smaller_matrix_can_show_keeps_its_place_and_brightness(size, window, matrix):
    kspace = crop_to_matrix(waves(size, window, (2, -3)), window, matrix)
    place = [(torch.arange(n) - n // 2) / n for n in matrix]
    wave = torch.exp(2j * torch.pi * (2 * place[0][:, None] - 3 * place[1][None])).to(torch.complex64)
    # Where the window's corner lies by a pixel off, all of the wave has another phase.
    turn = ifft2c(kspace)[0, 0] / wave[0, 0]
    assert turn.abs() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(ifft2c(kspace), turn * wave, atol=1e-4)


def test_what_it_cannot_show_is_gone():
    kspace = crop_to_matrix(waves((64, 60), (40, 44), (15, 0)), (40, 44), (24, 20))
    assert kspace.abs().max() < 1e-4


def test_the_reference_is_that_of_all_coils_at_the_matrix_and_so_is_everything_else():
    volume = make_volume()
    small = at_matrix(volume, (24, 20))
    assert (small.kspace.shape, small.info.matrix, small.info.recon_matrix) == ((2, 6, 24, 20), (24, 20), (24, 20))
    assert small.reference is None
    assert small.is_fully_sampled
    mask = choose_mask(small, PLAN)
    assert mask.samples.shape == (20,)
    example = make_example(small, (1,), mask, num_coils=4)
    expected = rss(ifft2c(crop_to_matrix(torch.from_numpy(volume.kspace[1]), (40, 44), (24, 20))))
    assert torch.allclose(example.reference[0], expected, atol=1e-5)
    assert example.data_range.item() == pytest.approx(expected.max().item())
    assert example.masked_kspace.shape == (1, 4, 24, 20)
    assert example.crop == (24, 20)
    # The same brightness as at the full matrix.
    assert expected.max() == pytest.approx(volume.reference[1].max(), rel=0.15)


def test_the_noise_of_a_sample_shrinks_as_the_matrix_does():
    noise = torch.randn(8, 64, 60, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    found = crop_to_matrix(noise, (64, 60), (32, 30)).abs().square().mean().sqrt()
    assert found == pytest.approx(0.5, rel=0.02)


def test_virtual_coils_explain_the_scan_and_are_those_of_the_neighbours_too():
    volume = make_volume(num_slices=3)
    batch = SliceDataset([volume], 3).read([SliceKey(0, 1)])
    scan = prepare(batch, [volume], num_coils=6)
    whole = torch.from_numpy(volume.kspace)
    assert torch.allclose(rss(ifft2c(scan.kspace[0])), rss(ifft2c(whole)), atol=1e-4)
    fewer = prepare(batch, [volume], num_coils=4).kspace
    assert torch.allclose(fewer[0], scan.kspace[0, :, :4])
    assert fewer.abs().square().sum() > 0.99 * whole.abs().square().sum()
    # One matrix for all: slices that differ in brightness alone have equal coils.
    clean = fft2c(coil_maps(6, (64, 60)) * body((64, 60)))
    kspace = torch.stack([clean, 2 * clean, clean]).numpy()
    same = Volume(kspace=kspace, info=volume.info)
    found = prepare(SliceDataset([same], 3).read([SliceKey(0, 1)]), [same], num_coils=3).kspace[0]
    assert torch.allclose(found[1], 2 * found[0], atol=1e-4)


def test_the_reference_has_all_coils_although_the_network_sees_few():
    volume = make_volume()
    scan = prepare(SliceDataset([volume]).read([SliceKey(0, 0)]), [volume], num_coils=1)
    assert torch.equal(scan.reference[0], torch.from_numpy(volume.reference[0]))


def test_columns_that_were_not_acquired_are_not_at_the_smaller_matrix_either():
    region = AcquiredRegion.whole((64, 60), (6, 54))
    assert region.at_matrix((64, 60), (64, 60)) == region
    assert region.at_matrix((64, 60), (32, 40)) == AcquiredRegion.whole((32, 40))
    # 48 of 60 columns reach as far out as 32 of 40.
    assert region.at_matrix((64, 40), (64, 40)).columns == (4, 36)
    volume = make_volume()
    padded = volume.kspace.copy()
    padded[..., :6] = padded[..., 54:] = 0
    volume = replace(volume, kspace=padded, info=replace(volume.info, padding=(6, 54)))
    small = at_matrix(volume, (40, 44))
    first, last = small.acquired.columns
    assert (first, last) == small.info.padding == (5, 40)
    assert not choose_mask(small, None).samples[:first].any()


def test_pixels_grow_and_the_origin_stays():
    geometry = Geometry(
        pixel_mm=(1.0, 2.0),
        positions_mm=((0.0, 0.0, 0.0), (0.0, 0.0, 3.0)),
        read_dir=(0.0, 1.0, 0.0),
        phase_dir=(1.0, 0.0, 0.0),
    )
    volume = make_volume()
    volume = replace(volume, info=replace(volume.info, geometry=geometry, fov_mm=(64.0, 120.0)))
    small = at_matrix(volume, (20, 22)).info
    assert small.fov_mm == (40.0, 88.0)
    assert small.geometry == replace(geometry, pixel_mm=(2.0, 4.0))


def test_a_shape_is_forecast_as_it_will_be():
    volume = make_volume()
    dataset, small = SliceDataset([volume]), SliceDataset([at_matrix(volume, (24, 20))])
    assert shape_at_matrix(dataset.shapes[0], (24, 20)) == small.shapes[0]
    assert small.shapes[0] == BatchShape(num_slices=2, kspace=(6, 24, 20), window=(24, 20), reference=None)


def test_what_cannot_be_cropped_or_compressed_is_refused_by_name():
    with pytest.raises(
        DataError, match="file1000001: its window of 40 x 44 pixels is smaller than the matrix of 48 x 20"
    ):
        at_matrix(make_volume(), (48, 20))
    lines = np.arange(60) % 3 == 0
    with pytest.raises(DataError, match="file1000001: acquired undersampled, and only full k-space can be cropped"):
        at_matrix(make_volume(mask=lines), (24, 20))
    volume = make_volume(num_coils=2)
    with pytest.raises(DataError, match=r"file1000001: cannot make 4 virtual coils of 2; a smaller data.num_coils"):
        prepare(SliceDataset([volume]).read([SliceKey(0, 0)]), [volume], num_coils=4)


def test_the_mask_that_a_file_plans_does_not_fit_another_matrix():
    volume = replace(make_volume(), planned_mask=np.arange(60) % 2 == 0)
    small = at_matrix(volume, (24, 20))
    assert choose_mask(small, None).kind == "full"
    assert center_crop(ifft2c(torch.from_numpy(small.kspace[0])), (24, 20)).shape == (6, 24, 20)
