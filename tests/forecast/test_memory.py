"""Peak memory: what is traced without memory is what real tensors take."""

import dataclasses
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mrikit.config import change_config
from mrikit.data import AugmentConfig, BatchShape, Example, SliceFacts
from mrikit.errors import ConfigError
from mrikit.forecast.footprint import readout_rows, trace_step
from mrikit.forecast.memory import largest_shape, parse_bytes, predict_memory
from mrikit.masks import AcquiredRegion
from mrikit.models import LEARNED, build_model
from mrikit.recipes import recipe
from mrikit.training.losses import ssim_loss
from mrikit.training.network import InPrecision

SHAPE = BatchShape(num_slices=3, kspace=(4, 96, 64), window=(64, 48), reference=(64, 48))
FULL = BatchShape(num_slices=1, kspace=(15, 640, 368), window=(320, 320), reference=(320, 320))
VARNET = {"num_cascades": 3, "num_channels": 8, "num_pools": 2, "num_sens_channels": 4, "num_sens_pools": 2}
ADAPTIVE = {"matrix": (96, 64), "budget": 4}
PROMPTMR = {
    "num_cascades": 2,
    "stem_width": 8,
    "feature_widths": (8, 12),
    "prompt_widths": (4, 4),
    "prompt_lengths": (2, 2),
    "prompt_sizes": (8, 4),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
    "num_skip_blocks": (1, 1),
    "num_bottleneck_blocks": 1,
    "sens_stem_width": 4,
    "sens_feature_widths": (4, 6),
    "sens_prompt_widths": (2, 2),
}


def make_config(model="varnet", model_config=VARNET, **settings):
    base = dataclasses.replace(
        recipe("knee_multicoil", "tiny"), model=model, model_config=dict(model_config), objective=""
    )
    return change_config(base, {name.replace("__", "."): value for name, value in settings.items()}, "test")


class Chain(nn.Module):
    """Convolutions of 3 channels whose outputs all are needed for the gradient, then a magnitude image."""

    def __init__(self, depth):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(depth))

    def forward(self, masked_kspace, mask, num_center_lines):
        channels = masked_kspace[:, :3].abs()
        for conv in self.convs:
            channels = conv(channels)
        return channels.sum(1)


@pytest.fixture
def chain(monkeypatch):
    """A network for which the peak can be counted by hand, in the place of the model."""
    depth = 5
    monkeypatch.setattr("mrikit.training.network.build_model", lambda *_: Chain(depth))
    return depth


@pytest.mark.parametrize("num_slices", [1, 2])
def test_a_chain_of_convolutions_takes_what_can_be_counted_by_hand(chain, num_slices):
    config = make_config(training__loss="l1", training__micro_batch_size=num_slices, training__batch_size=num_slices)
    found = trace_step(config, SHAPE, is_gpu=False)
    pixels = num_slices * 96 * 64
    channels = 3 * pixels * 4
    # Forward: the input and each output but the last are kept; backward begins with the gradients of the last, once
    # for all channels (expanded, not copied) and once padded from the window, then of one convolution's input.
    # What the mask keeps of k-space is a copy, which lives as long as the step.
    kept = chain * channels + num_slices * 4 * 96 * 64 * 8
    assert found.peak_bytes >= kept
    assert found.peak_bytes <= kept + 2 * channels + 8 * pixels
    assert found.weights_bytes == found.trained_bytes == chain * 81 * 4
    assert found.batch_bytes == num_slices * (4 * 96 * 64 * 8 + 64 * 48 * 4 + 4)
    # Of each weight 2 operations a pixel forward, as many for its gradient and, but for the first, for its input's.
    assert found.product_flops == 2 * 81 * pixels * (3 * chain - 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("model", "model_config"), [("varnet", VARNET), ("unet", {"num_channels": 8})])
def test_what_forward_keeps_is_what_real_tensors_keep(model, model_config, precision):
    config = make_config(model, model_config, training__precision=precision)
    kept, output_bytes = kept_bytes(config)
    traced = trace_step(config, SHAPE, is_gpu=False).peak_bytes
    assert kept > 10 * output_bytes
    # The peak lies a little above: what is computed when the last activation was made.
    assert 0.98 * kept < traced < 1.35 * kept


def test_what_forward_of_adjacent_slices_keeps_is_what_real_tensors_keep():
    config = make_config("promptmr", PROMPTMR)
    kept, _ = kept_bytes(config)
    assert 0.98 * kept < trace_step(config, SHAPE, is_gpu=False).peak_bytes < 1.35 * kept


def kept_bytes(config):
    """Bytes of masked k-space and of what a real forward and loss save for backward; weights and batch left out."""
    network = InPrecision(build_model(config.model, config.model_config), config.training.precision)
    slices = (config.num_adjacent,) if config.num_adjacent > 1 else ()
    sizes = (1, *slices, *SHAPE.kspace)
    mask = torch.zeros(1, *(1 for _ in slices), 1, 1, 64, dtype=torch.bool)
    mask[..., 24:40] = mask[..., ::4] = True
    kspace = torch.randn(sizes, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)) * mask
    example = Example(
        masked_kspace=kspace,
        mask=mask,
        num_center_lines=torch.tensor([16]),
        reference=torch.rand(1, *SHAPE.window),
        data_range=torch.ones(1),
        crop=SHAPE.window,
        facts=(SliceFacts(volume_id="v", slice_index=0, anatomy="knee", acquired=AcquiredRegion.whole((96, 64))),),
    )
    known = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    known |= {kspace.untyped_storage().data_ptr(), mask.untyped_storage().data_ptr()}
    saved = {}

    def remember(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        output = network(example.masked_kspace, example.mask, example.num_center_lines).image
        ssim_loss(output, example).sum()
    return kspace.nbytes + sum(size for pointer, size in saved.items() if pointer not in known), output.nbytes


def test_checkpoints_and_bf16_lower_the_predicted_peak():
    plain = trace_step(make_config(), SHAPE, is_gpu=False).peak_bytes
    assert trace_step(make_config(model_config__use_checkpoint=True), SHAPE, is_gpu=False).peak_bytes < 0.7 * plain
    assert trace_step(make_config(training__precision="bf16"), SHAPE, is_gpu=False).peak_bytes < 0.8 * plain


def test_arithmetic_is_counted_as_torch_counts_it():
    config = make_config()
    found = trace_step(config, SHAPE, is_gpu=False, has_backward=False)
    network = build_model(config.model, config.model_config)
    mask = torch.ones(1, 1, 1, 64, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(1, *SHAPE.kspace, dtype=torch.complex64), mask, torch.tensor([16]))
    assert found.product_flops == counter.get_total_flops()
    # Two transforms in each cascade along columns, one of the centre along both axes, and the first and the last.
    samples = 4 * 96 * 64
    expected = 5 * samples * (torch.tensor(96.0 * 64).log2() + 3 * 2 * 6 + 6 + torch.tensor(96.0).log2())
    assert found.fourier_flops == pytest.approx(float(expected))


def test_the_full_varnet_is_predicted_in_seconds_without_its_memory():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    config = recipe("knee_multicoil", "full")
    config = change_config(config, {"model_config.use_checkpoint": False}, "test")
    before, start = resident(), time.process_time()
    found = predict_memory(config, FULL, device="cuda")
    assert time.process_time() - start < 20
    assert resident() - before < 5e8
    assert 4e9 < found.activations < 5e9  # 5.5 GB with weights, gradients, moments and the process in benchmarks/
    assert found.weights == 2 * 4 * 29_936_966


def test_more_coils_go_through_a_gpu_together():
    config = make_config(model_config__use_checkpoint=True, model_config__num_sens_channels=32)
    shape = dataclasses.replace(SHAPE, kspace=(8, 96, 64))
    on_gpu, on_cpu = (trace_step(config, shape, is_gpu=is_gpu).peak_bytes for is_gpu in (True, False))
    assert on_gpu > 2 * on_cpu


def test_a_pattern_takes_its_mask_s_rows_in_memory():
    lines = trace_step(make_config(), SHAPE, is_gpu=False)
    pattern = trace_step(make_config(data__mask_kind="poisson_disc"), SHAPE, is_gpu=False)
    assert pattern.peak_bytes >= lines.peak_bytes + SHAPE.kspace[1] * SHAPE.kspace[2] - SHAPE.kspace[2]


def test_frozen_weights_need_neither_gradient_nor_moments():
    learnable, frozen = (
        trace_step(make_config("promptmr", PROMPTMR | {"learnable_prompts": value}), SHAPE, is_gpu=False)
        for value in (True, False)
    )
    assert learnable.weights_bytes == learnable.trained_bytes == frozen.weights_bytes > frozen.trained_bytes
    found = predict_memory(make_config("promptmr", PROMPTMR | {"learnable_prompts": False}), SHAPE, device="cpu")
    assert found.moments_on_device == 2 * frozen.trained_bytes


def test_the_parts_of_a_prediction_add_up():
    for device in ("cpu", "cuda"):
        found = predict_memory(make_config(), SHAPE, device=device)
        parts = found.weights + found.gradients + found.moments_on_device + found.activations + found.batch
        assert found.total_bytes == parts + found.overhead
    assert predict_memory(make_config(), SHAPE, device="cpu").host_bytes < found.host_bytes


def test_zero_shards_moments_and_offloading_moves_them_to_the_host():
    one = predict_memory(make_config(training__batch_size=4), SHAPE, device="cuda")
    settings = {"training__batch_size": 4, "execution__zero_stage": 1}
    sharded = predict_memory(make_config(**settings), SHAPE, device="cuda", world_size=4)
    assert sharded.moments_on_device == one.moments_on_device // 4
    offloaded = predict_memory(make_config(**settings, execution__offload_optimizer=True), SHAPE, device="cuda")
    assert offloaded.moments_on_device == 0
    assert offloaded.moments_on_host == 5 * one.moments_on_device // 2
    assert offloaded.host_bytes == one.host_bytes + offloaded.moments_on_host


def test_processes_that_cannot_share_a_batch_are_refused():
    with pytest.raises(ConfigError, match="cannot be shared by 2 processes"):
        predict_memory(make_config(training__batch_size=3), SHAPE, device="cpu", world_size=2)


def test_cropped_rows_and_small_micro_batches_take_less():
    config = make_config(data__max_readout=72)
    assert readout_rows(config, SHAPE) == 72
    assert readout_rows(make_config(data__max_readout=16), SHAPE) == 64  # never less than is scored
    assert readout_rows(make_config(data__max_readout=200), SHAPE) == 96
    plain = trace_step(make_config(), SHAPE, is_gpu=False).peak_bytes
    assert trace_step(config, SHAPE, is_gpu=False).peak_bytes == pytest.approx(plain * 72 / 96, rel=0.15)


def test_virtual_coils_take_less():
    plain, fewer = (trace_step(make_config(data__num_coils=count), SHAPE, is_gpu=False).peak_bytes for count in (0, 2))
    assert fewer < 0.8 * plain
    many = dataclasses.replace(SHAPE, kspace=(32, 96, 60))
    wide = dataclasses.replace(SHAPE, kspace=(4, 96, 90))
    assert largest_shape(make_config(), [many, wide]) is many
    assert largest_shape(make_config(data__num_coils=2), [many, wide]) is wide


def test_augmentation_needs_the_coil_images_a_few_times():
    tiny = {"num_cascades": 1, "num_channels": 1, "num_pools": 1, "num_sens_channels": 0, "use_checkpoint": True}
    config = make_config("varnet", tiny)
    shape = dataclasses.replace(FULL, window=(32, 32), reference=(32, 32))
    augmented = dataclasses.replace(config, augment=AugmentConfig(strength=0.5, num_epochs=5, upsample=True))
    plain, more = (predict_memory(each, shape, device="cuda").total_bytes for each in (config, augmented))
    # K-space as it was read, and three copies of twice the resolution, beside CUDA's context.
    assert more > 5e8 + (1 + 3 * 4) * 15 * 640 * 368 * 8 > plain


def test_the_largest_shape_counts_after_the_crop():
    tall = BatchShape(num_slices=1, kspace=(4, 640, 60), window=(64, 48), reference=None)
    wide = BatchShape(num_slices=1, kspace=(4, 320, 100), window=(64, 48), reference=None)
    assert largest_shape(make_config(), [tall, wide]) is tall
    assert largest_shape(make_config(data__max_readout=320), [tall, wide]) is wide


@pytest.mark.parametrize("model", LEARNED)
def test_every_learned_model_can_be_traced(model):
    settings = {"varnet": VARNET, "promptmr": PROMPTMR, "adaptive_varnet": VARNET | ADAPTIVE}
    config = make_config(model, settings.get(model, {}))
    for has_backward in (True, False):
        assert trace_step(config, SHAPE, is_gpu=True, has_backward=has_backward).peak_bytes > 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8e9), ("8 GiB", 8 * 2**30), ("500M", 5e8), ("1.5g", 1.5e9), ("7mib", 7 * 2**20)],
)
def test_sizes_are_read_with_their_units(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "eight GB", "8 GBs", "-1GB", "0GB", "8 iB", "GB", "4096"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ConfigError, match=r"memory is a number with a unit, found .*; try 8GB"):
        parse_bytes(text)
