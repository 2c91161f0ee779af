"""What PromptMR keeps in memory, and that its image does not depend on it: checkpoints, coils, bfloat16, compiling."""

import pytest
import torch
from helpers import relative_error
from promptmr_setting import KINDS, PLUS, build, line_mask, noise, reconstruct
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from mrikit.models import convolutional_parts
from mrikit.models.prompt_unet import PromptUnet, ResidualBlock

kinds = pytest.mark.parametrize("kind", sorted(KINDS))


def train_once(model, is_rounded=False):
    with torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
        image = reconstruct(model, noise(2, num_coils=5), line_mask())
    image.square().mean().backward()
    return image.detach(), {name: weight.grad for name, weight in model.named_parameters()}


@kinds
@pytest.mark.parametrize("checkpoint_every", [0, 1, 2])
@pytest.mark.parametrize("is_rounded", [False, True], ids=["float32", "autocast"])
def test_checkpoints_change_neither_output_nor_gradient(kind, checkpoint_every, is_rounded):
    image, gradients = train_once(build(**KINDS[kind]), is_rounded)
    model = build(**KINDS[kind], use_checkpoint=True, checkpoint_every=checkpoint_every)
    again, gradients_again = train_once(model, is_rounded)
    assert torch.equal(again, image)
    largest = max(gradient.norm() for gradient in gradients.values())
    for name, gradient in gradients.items():
        # What several levels see again adds up in another order.
        error = (gradients_again[name] - gradient).norm()
        assert error <= (1e-2 if is_rounded else 1e-5) * (gradient.norm() + 1e-3 * largest), name


@kinds
def test_coils_at_a_time_change_neither_output_nor_gradient(kind):
    image, gradients = train_once(build(**KINDS[kind], coils_at_a_time=1))
    again, gradients_again = train_once(build(**KINDS[kind], coils_at_a_time=7, use_checkpoint=True))
    assert relative_error(again, image) < 1e-5
    for name, gradient in gradients.items():
        assert (gradients_again[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-7, name


def most_held(part, num_coils=3, **settings):
    """The most outputs of residual blocks that are in memory at once, over a whole training step; bytes."""
    model, outputs, held = build(**{"num_cascades": 4, **settings}), [], []

    def count(_module, _inputs, output):
        storage = output.untyped_storage()
        outputs.append((StorageWeakRef(storage), storage.nbytes()))
        held.append(sum(size for one, size in outputs if not one.expired()))

    for module in getattr(model, part).modules():
        if isinstance(module, ResidualBlock):
            module.register_forward_hook(count)
    reconstruct(model, noise(num_coils=num_coils), line_mask()).sum().backward()
    return max(held)


def test_one_group_of_coils_is_held_at_a_time_forward_and_backward():
    one_group = most_held("sens_net", num_coils=2, use_checkpoint=True, coils_at_a_time=2)
    assert most_held("sens_net", num_coils=8, use_checkpoint=True, coils_at_a_time=2) == one_group
    assert most_held("sens_net", num_coils=8, use_checkpoint=True, coils_at_a_time=8) == 4 * one_group
    assert most_held("sens_net", num_coils=8, coils_at_a_time=2) > 3 * one_group


def test_finer_segments_hold_less():
    many = {"num_encoder_blocks": (4, 4), "num_decoder_blocks": (4, 4), "num_bottleneck_blocks": 4}
    everything = most_held("cascades", **many)
    pairs, single, levels = (
        most_held("cascades", use_checkpoint=True, checkpoint_every=every, **many) for every in (2, 1, 0)
    )
    assert pairs < 0.55 * everything
    assert single < 0.55 * pairs
    assert levels < 0.51 * single


@kinds
@torch.inference_mode()
def test_bfloat16_rounds_the_networks_and_nothing_else(kind):
    model, types = build(**KINDS[kind]), {"cascades": set(), "first": set(), "images": set()}

    def see(name, *arrays):
        types[name].update(array.dtype for array in arrays)

    for cascade in model.cascades:
        cascade.register_forward_hook(lambda _module, inputs, output: see("cascades", *output[:2], *inputs[1:2]))
        cascade.network.unet.register_forward_hook(lambda _m, inputs, output: see("images", inputs[0], output[0]))
        cascade.network.unet.bottom[0].register_forward_hook(lambda _m, inputs, output: see("first", *inputs, output))
    image = reconstruct(model, noise(), line_mask())
    for recorded in types.values():
        recorded.clear()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = reconstruct(model, noise(), line_mask())
    assert types == {"cascades": {torch.complex64}, "first": {torch.bfloat16}, "images": {torch.float32}}
    assert rounded.dtype == torch.float32
    assert 0 < relative_error(rounded, image) < 0.03
    assert 0 < relative_error(reconstruct(model.bfloat16(), noise(), line_mask()), image) < 0.03


@torch.inference_mode()
def test_convolutions_run_channels_last():
    model, seen = build(**PLUS), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.register_forward_hook(lambda _module, inputs, output: seen.extend([inputs[0], output]))
    reconstruct(model, noise(2), line_mask())
    assert seen
    assert all(array.is_contiguous(memory_format=torch.channels_last) for array in seen)


def test_the_parts_to_compile_hold_all_convolutions_and_no_transform():
    model = build()
    parts = convolutional_parts(model)
    assert all(isinstance(part, PromptUnet) for part in parts)
    inside = {id(module) for part in parts for module in part.modules()}
    assert all(id(module) in inside for module in model.modules() if isinstance(module, nn.Conv2d))
    assert convolutional_parts(nn.Conv2d(1, 1, 1)) == []


SMALLEST = {"feature_widths": (4,), "prompt_widths": (2,), "prompt_lengths": (2,), "prompt_sizes": (3,)}
SMALLEST |= {"sens_feature_widths": (2,), "sens_prompt_widths": (1,), "sens_stem_width": 0, "num_cascades": 1}
SMALLEST |= {"num_encoder_blocks": (1,), "num_decoder_blocks": (0,), "num_skip_blocks": (0,)}
SMALLEST |= {"num_bottleneck_blocks": 0, "num_buffers": 0, "has_attention": True}
AGAIN = {**SMALLEST, "num_bottleneck_blocks": 1, "num_history": 1, "use_checkpoint": True, "checkpoint_every": 0}
COMPILED = [
    pytest.param("aot_eager", {**AGAIN, "num_cascades": 2}, id="traced"),
    pytest.param("inductor", SMALLEST, id="compiled", marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated", "ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(("backend", "settings"), COMPILED)
def test_compiled_it_gives_the_same_image_and_gradient(backend, settings):
    """The compiler itself takes long, for the smallest of all networks; how it sees a larger one does not."""
    image, gradients = train_once(build(**settings))
    model = build(**settings)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for part in convolutional_parts(model):
        part.compile(fullgraph=True, backend=backend)
    compiled, gradients_compiled = train_once(model)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert relative_error(compiled, image) < 1e-5
    for name, gradient in gradients.items():
        assert (gradients_compiled[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-7, name
