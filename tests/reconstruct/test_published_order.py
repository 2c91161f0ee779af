"""Imported networks whose code stays closed, from the file to the image, beside the steps written out one by one."""

import numpy as np
import pytest
import torch
from checkpoint.published_files import challenge_arguments, load_golden
from helpers import relative_error
from phantoms import make_volume

from mrikit.checkpoint import build_trained_model, import_weights
from mrikit.data import MaskPlan
from mrikit.reconstruct import ReconstructConfig, build_method
from mrikit.reconstruct.volume import reconstruct_volume
from mrikit.volumes import open_volume, write_fastmri, write_snu

FILES = {"promptmr": "promptmr_v1", "promptmr-plus": "promptmr_plus", "snu-challenge": "promptmr_snu_challenge"}
NUM_SLICES = 4


def transform(values, function):
    axes = (-2, -1)
    return np.fft.fftshift(function(np.fft.ifftshift(values, axes), axes=axes, norm="ortho"), axes)


def counted(lines):
    """As many sampled lines on both sides of the middle, at least 1."""
    middle = len(lines) // 2
    left = int(np.argmin(lines[:middle][::-1]))
    right = int(np.argmin(lines[middle:]))
    return max(2 * min(left, right), 1)


def imported(folder, source, **arguments):
    """The method, and the network that takes the number of centre lines that it is given."""
    state, config, _ = load_golden(FILES[source])
    torch.save({"module": state, "args": {**vars(challenge_arguments(config)), **arguments}}, folder / "a.pt")
    weights = import_weights(folder / "a.pt", folder / "w.safetensors", source, {})
    weights.model_config["counts_center_lines"] = False
    return build_method(ReconstructConfig(weights=folder / "w.safetensors")), build_trained_model(weights)


@torch.inference_mode()
def step_by_step(network, kspace, lines, num_center_lines, rows=0, window=(40, 44)):
    """(slice, y, x) image of (slice, coil, readout, phase) k-space."""
    height = kspace.shape[-2]
    if rows and height > rows:
        first = (height - rows) // 2
        kspace = transform(transform(kspace, np.fft.ifft2)[..., first : first + rows, :], np.fft.fft2)
    masked = torch.from_numpy((kspace * lines + 0.0).astype(np.complex64))
    reach = network.config.num_adjacent // 2
    images = []
    for index in range(len(masked)):
        near = [min(max(index + offset, 0), len(masked) - 1) for offset in range(-reach, reach + 1)]
        mask = torch.from_numpy(lines).view(1, 1, 1, 1, -1)
        images.append(network(masked[near][None], mask, torch.tensor([num_center_lines]))[0])
    full = torch.stack(images)
    top, left = ((size - part) // 2 for size, part in zip(full.shape[-2:], window, strict=True))
    return full[:, top : top + window[0], left : left + window[1]]


def own_lines(width, num_center=9, first=0):
    lines = np.zeros(width, bool)
    lines[first::4] = True
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    return lines


@pytest.mark.parametrize(
    ("task", "rows", "height"), [("brain", 384, 401), ("brain", 384, 388), ("knee", 416, 431), ("knee", 416, 400)]
)
def test_the_challenge_entry_crops_the_readout_then_masks_then_takes_neighbours(tmp_path, task, rows, height):
    method, network = imported(tmp_path, "snu-challenge", task=task)
    lines = own_lines(36)
    volume = make_volume(num_slices=NUM_SLICES, num_coils=2, size=(height, 36), window=(384, 36), mask=None)
    kspace = np.asarray(volume.kspace)
    planned = type(volume)(kspace=kspace * lines, reference=volume.reference, mask=lines, info=volume.info)
    write_snu(tmp_path, f"{task}_test1", planned, image_grappa=np.asarray(volume.reference))
    found = reconstruct_volume(open_volume(tmp_path / "kspace" / f"{task}_test1.h5"), method, None)
    expected = step_by_step(network, kspace * lines, lines, counted(lines), rows, (384, 36))
    assert found.image.shape == (NUM_SLICES, 384, 36)
    assert relative_error(torch.from_numpy(found.image), expected) < 1e-5


@pytest.mark.parametrize("says", [None, 9])
@pytest.mark.parametrize("source", ["promptmr", "promptmr-plus"])
def test_promptmr_counts_the_center_lines_of_a_stored_mask(tmp_path, source, says):
    method, network = imported(tmp_path, source)
    lines = own_lines(60)
    volume = make_volume(num_slices=NUM_SLICES, num_coils=2, mask=lines)
    write_fastmri(
        tmp_path / "data.h5", volume, attributes={} if says is None else {"acceleration": 4, "num_low_frequency": says}
    )
    found = reconstruct_volume(open_volume(tmp_path / "data.h5"), method, None)
    assert (found.mask.num_center_lines, counted(lines)) == (9, 8)
    expected = step_by_step(network, np.asarray(volume.kspace), lines, 8)
    assert relative_error(torch.from_numpy(found.image), expected) < 1e-5
    other = step_by_step(network, np.asarray(volume.kspace), lines, 9)
    assert relative_error(torch.from_numpy(found.image), other) > 1e-4


@pytest.mark.parametrize("source", ["promptmr", "promptmr-plus"])
def test_promptmr_knows_the_center_lines_of_a_mask_that_is_drawn(tmp_path, source):
    method, network = imported(tmp_path, source)
    volume = make_volume(num_slices=NUM_SLICES, num_coils=2)
    plan = MaskPlan(kind="random", acceleration=4, center_fraction=0.15)
    found = reconstruct_volume(volume, method, plan)
    lines = found.mask.samples
    assert found.mask.num_center_lines == 9
    expected = step_by_step(network, np.asarray(volume.kspace), lines, 9)
    assert relative_error(torch.from_numpy(found.image), expected) < 1e-5


def test_a_window_of_more_rows_than_a_network_was_trained_to_see_is_named(tmp_path):
    method, _ = imported(tmp_path, "snu-challenge", task="brain")
    volume = make_volume(num_slices=1, num_coils=2, size=(400, 36), window=(400, 36))
    with pytest.warns(UserWarning, match=r"file1000001: 400 rows .* trained to see 384 at most; it sees all of them"):
        reconstruct_volume(volume, method, MaskPlan(kind="fixed", acceleration=4))
