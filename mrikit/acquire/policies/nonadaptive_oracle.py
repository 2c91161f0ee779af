"""Non-adaptive oracle: one order of lines, best on training images."""

import torch

from mrikit.acquire.policies.fixed_order import FixedOrder
from mrikit.acquire.policies.oracle import ScoreMasks, score_all, with_line
from mrikit.errors import ConfigError


def greedy_order(
    score: ScoreMasks,
    start: torch.Tensor,
    is_free: torch.Tensor,
    *,
    num_images: int,
    budget: int,
    batch_size: int = 32,
) -> FixedOrder:
    """Line after line, each the one with which the mean score of all images is highest.

    It tries every free line on every image: up to budget * phase * num_images reconstructions.

    Args:
        score: What masks of the training images are worth; their numbers are 0 to `num_images` - 1.
        start: (phase,) bool, the lines given in every episode.
        is_free: (phase,) bool, the lines that may be chosen in every episode.
        num_images: At least 1.
        budget: Lines to choose.
        batch_size: Masks that are reconstructed and scored at once.

    Returns:
        The policy: lines of equal mean score in the order of columns, then no others.

    Raises:
        ConfigError: No images, or a budget below 1 or larger than the free columns.
        DataError: Scores that are no numbers.

    Source:
        NA oracle of Bakker et al., Experimental design for MRI by greedy policy search, NeurIPS 2020, arXiv:2010.16262.
    """
    num_free = int(is_free.sum())
    if not 1 <= budget <= num_free:
        raise ConfigError(f"a budget is 1 to the {num_free} free of {len(start)} columns, found {budget}")
    if num_images < 1 or batch_size < 1:
        raise ConfigError(f"an order needs at least 1 image and batch_size 1, found {num_images} and {batch_size}")
    images = torch.arange(num_images, device=start.device)
    mask, order = start, []
    for _ in range(budget):
        lines = (is_free & ~mask).nonzero()[:, 0]
        masks = with_line(mask.expand(len(lines), -1), lines).repeat_interleave(num_images, dim=0)
        scores = score_all(score, images.repeat(len(lines)), masks, batch_size)
        line = lines[scores.view(len(lines), num_images).mean(-1).argmax()]
        order.append(int(line))
        mask = with_line(mask[None], line[None])[0]
    return FixedOrder(order=tuple(order), width=len(start))
