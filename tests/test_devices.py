"""Tensors are made where their inputs are: a step with tensors on torch's `meta` device, which no other may meet.

A GPU would refuse the same mixtures; this finds them where there is none.
"""

import contextlib

import numpy as np
import pytest
import torch

from mrikit.data import (
    AugmentConfig,
    MaskPlan,
    SampleId,
    SliceBatch,
    SliceKey,
    draw_masks,
    make_augment,
    prepare,
    undersample,
)
from mrikit.metrics import body_mask
from mrikit.models import build_model
from mrikit.training.losses import LOSSES
from mrikit.training.objectives import Draw
from mrikit.volumes import ScanInfo, Volume

INFO = ScanInfo(
    volume_id="v", anatomy="knee", matrix=(64, 48), recon_matrix=(40, 40), padding=(0, 48), reference_max=1.0
)
FULL = Volume(kspace=np.ones((2, 4, *INFO.matrix), np.complex64), info=INFO)
SMALL = {"num_cascades": 2, "stem_width": 4, "feature_widths": (4, 4), "prompt_widths": (4, 4), "prompt_sizes": (4, 4)}
SMALL |= dict.fromkeys(("prompt_lengths", "num_encoder_blocks", "num_decoder_blocks", "num_skip_blocks"), (1, 1))
SMALL |= {"sens_stem_width": 4, "sens_feature_widths": (4, 4), "sens_prompt_widths": (4, 4)}
NETWORKS = [
    ("promptmr", SMALL),
    ("promptmr", {**SMALL, "kspace_cascades": True, "num_history": 1, "has_attention": True, "use_checkpoint": True}),
    ("promptmr", {**SMALL, "sens_stem_width": 0, "num_buffers": 0, "learnable_prompts": False}),
    ("varnet", {"num_cascades": 2, "num_channels": 2, "num_sens_channels": 2}),
    ("unet", {"num_channels": 2}),
    ("anatomy_net", {}),
]


def batch(num_adjacent):
    kspace = torch.zeros(2, num_adjacent, 4, *INFO.matrix, dtype=torch.complex64)
    return SliceBatch(kspace=kspace, reference=torch.zeros(2, 40, 40), keys=(SliceKey(0, 0), SliceKey(0, 1)))


def example(num_adjacent, **options):
    scan = prepare(batch(num_adjacent), [FULL, FULL], "meta", **options)
    return undersample(scan, draw_masks((MaskPlan(),), scan, Draw(0, 0).generators(scan, "mask")))


@pytest.fixture
def no_autocast(monkeypatch):
    """The `meta` device has none; and numbers of centre lines, which it has not either, are not asked for."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    for module in ("promptmr", "varnet"):
        monkeypatch.setattr(f"mrikit.models.{module}.keep_center", lambda kspace, _mask, _count: kspace)


def test_other_devices_are_refused_here():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device="meta") + torch.zeros(2)


@pytest.mark.parametrize(("name", "settings"), NETWORKS)
def test_a_network_and_its_gradient_stay_on_the_device(no_autocast, name, settings):
    network = build_model(name, settings).to("meta")
    inputs = example(getattr(network.config, "num_adjacent", 1))
    output = network(inputs.masked_kspace, inputs.mask, inputs.num_center_lines)
    assert output.is_meta
    output.sum().backward()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_stays_on_the_device(loss):
    output = torch.zeros(2, *INFO.matrix, device="meta", requires_grad=True)
    found = LOSSES[loss](output, example(1))
    assert found.is_meta
    found.sum().backward()


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("upsample", [False, True])
def test_augmentation_stays_on_the_device(interpolation, upsample):
    augment = make_augment(AugmentConfig(strength=1, interpolation=interpolation, upsample=upsample), seed=0, epoch=0)
    kspace = batch(3).kspace.to("meta")
    found = augment(kspace, [SampleId("v", 0), SampleId("v", 1)])
    assert found.is_changed == (True, True)
    assert found.kspace.is_meta
    prepared = example(3, augment=augment, max_readout=50)
    assert prepared.masked_kspace.is_meta
    assert prepared.masked_kspace.shape[-2] == 50


def test_a_body_mask_stays_on_the_device():
    assert body_mask(torch.zeros(2, 40, 40, device="meta"), torch.tensor([1.0, 2.0])).is_meta
