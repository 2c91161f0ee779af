"""An objective of three parts, to see that the engine trains whatever one declares."""

import torch
from torch import nn

from mrikit.data import draw_masks, undersample
from mrikit.physics.sampling import keep
from mrikit.training.losses import Losses
from mrikit.training.objectives import OBJECTIVES, Group, Score, decaying_groups
from mrikit.training.objectives.image import ImageObjective


class Gain(nn.Module):
    """A sampler of one number, which scales a float mask, and keeps a statistic."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.register_buffer("num_seen", torch.zeros(1))

    def forward(self, mask):
        self.num_seen += len(mask)
        return mask.float() * self.gain


class Critic(nn.Module):
    """Says something about an image of any size, and keeps a statistic."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.register_buffer("num_seen", torch.zeros(1))

    def forward(self, image):
        self.num_seen += len(image)
        return self.conv(image[:, None] / image.detach().amax()).square().mean((1, 2, 3))


class ThreeParts(ImageObjective):
    """SSIM loss, and what a critic says; the critic begins an epoch later, at a fifth of the rate."""

    def parts(self):
        parts = super().parts()
        parts["sampler"], parts["critic"] = Gain(), Critic()
        return parts

    def losses(self, parts, scan, draw):
        example = undersample(scan, draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask")))
        kspace = keep(example.masked_kspace, parts["sampler"](example.mask))
        output = parts["network"](kspace, example.mask, example.num_center_lines)
        of_image, of_critic = self._loss(output, example), parts["critic"](output.image)
        return Losses(of_image.total + 0.1 * of_critic, {**of_image.terms, "critic": of_critic})

    def groups(self, parts):
        decay = self.config.training.weight_decay
        return [
            *decaying_groups("network", parts["network"].parameters(), decay),
            Group(name="sampler", parameters=list(parts["sampler"].parameters()), rate_scale=2.0),
            Group(name="critic", parameters=list(parts["critic"].parameters()), rate_scale=0.2, first_epoch=1),
        ]


class LowestNmse(ThreeParts):
    """Judged by a score of which less is better."""

    def __init__(self, config):
        super().__init__(config)
        self.score = Score(name="nmse", words="NMSE", higher_is_better=False)

    def validate(self, *arguments):
        found = super().validate(*arguments)
        return found and found._replace(score=found.numbers["nmse"])


OBJECTIVES["three_parts"], OBJECTIVES["lowest_nmse"] = ThreeParts, LowestNmse
