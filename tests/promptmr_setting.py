"""A PromptMR small enough for tests, and what it reconstructs."""

import torch
from helpers import complex_normal
from torch import nn

from mrikit.models import build_model

SMALL = {
    "num_cascades": 2,
    "stem_width": 4,
    "feature_widths": (5, 6),
    "prompt_widths": (2, 3),
    "sens_stem_width": 2,
    "sens_feature_widths": (3, 4),
    "sens_prompt_widths": (1, 2),
    "prompt_lengths": (2, 3),
    "prompt_sizes": (6, 3),
    "num_encoder_blocks": (1, 2),
    "num_decoder_blocks": (1, 2),
    "num_skip_blocks": (1, 0),
    "num_bottleneck_blocks": 1,
}
PLUS = {"kspace_cascades": True, "num_history": 2, "has_attention": True, "sens_stem_width": 4}
PLUS |= {"sens_feature_widths": (4, 5), "num_cascades": 3}
V1 = {"kspace_cascades": True, "num_buffers": 0, "sens_uses_adjacent": False}
KINDS = {"images": {}, "plus": PLUS, "v1": V1}
SIZE = (20, 18)
"""Readout and phase."""


class Nothing(nn.Module):
    """A network that finds nothing to correct, and gives so many images of zeros."""

    def __init__(self, num_images):
        super().__init__()
        self.num_images = num_images

    def forward(self, images, history=()):
        zeros = torch.zeros_like(images[:, :1])
        return zeros.expand(-1, self.num_images, -1, -1), history


def build(**settings):
    torch.manual_seed(0)
    return build_model("promptmr", {**SMALL, **settings})


def line_mask(width=SIZE[1], step=3, num_center=6):
    lines = torch.zeros(width, dtype=torch.bool)
    lines[::step] = True
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    return lines.view(1, 1, 1, 1, -1)


def pattern(size=SIZE, num_center=6):
    sampled = torch.rand(size, generator=torch.Generator().manual_seed(0)) < 0.4
    rows, columns = ((length - num_center + 1) // 2 for length in size)
    sampled[rows : rows + num_center, columns : columns + num_center] = True
    return sampled.view(1, 1, 1, *size)


def noise(num_batch=1, num_slices=3, num_coils=3, size=SIZE, seed=0):
    return complex_normal((num_batch, num_slices, num_coils, *size), seed)


def reconstruct(model, kspace, mask, num_center=6):
    return model(torch.where(mask, kspace, 0.0), mask, torch.full((len(kspace),), num_center))
