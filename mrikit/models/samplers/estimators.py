"""Masks from scores: what is kept, and the gradient that is put in place of the step's.

A mask is 0 or 1, and its true gradient is 0 nearly everywhere. The estimators here keep the mask and take the gradient
of something smooth (straight-through).

Source:
    Bengio et al., Estimating or propagating gradients through stochastic neurons, arXiv 1308.3432 (straight-through);
    Williams, Simple statistical gradient-following algorithms, Mach. Learn. 8:229 (1992), and Berthet et al., Learning
    with differentiable perturbed optimizers, arXiv 2002.08676 (score); Kool et al., Buy 4 REINFORCE samples, get a
    baseline for free (2019) (several draws); Bahadir et al., Deep-learning-based optimization of the under-sampling
    pattern in MRI, arXiv 1907.11374 (rescaling); Yin et al., End-to-end sequential sampling and reconstruction for MRI,
    arXiv 2105.06460 (slope of the draws).
"""

from collections.abc import Sequence

import torch

_TINY = 1e-12


def straight_through(mask: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
    """The mask, exactly, with the gradient of the smooth tensor."""
    return mask.detach() + (smooth - smooth.detach())


def keep_largest(scores: torch.Tensor, taken: torch.Tensor, counts: Sequence[int], order: torch.Tensor) -> torch.Tensor:
    """What is taken already and the largest scores beside it, exactly as many as asked for.

    Args:
        scores: (batch, rows, columns) float32.
        taken: The same shape, bool.
        counts: Samples of each mask, what is taken among them; numbers, which no device has to be asked for.
        order: (rows * columns,) int64, flat places in the order in which equals are taken.

    Returns:
        (batch, rows, columns) float32, 0 or 1.
    """
    ranked = torch.where(taken, torch.inf, scores.detach()).flatten(1)[:, order]
    # Selection is several times as fast as sorting, which nothing else here needs.
    pairs = zip(-ranked, counts, strict=True)
    least = -torch.stack([negative.kthvalue(count).values for negative, count in pairs])[:, None]
    above = ranked > least
    is_tie = ranked == least
    missing = torch.tensor(counts, device=scores.device)[:, None] - above.sum(1, keepdim=True)
    kept = above | (is_tie & (is_tie.cumsum(1) <= missing))
    mask = torch.zeros_like(ranked)
    mask[:, order] = kept.to(ranked.dtype)
    return mask.view_as(scores)


def choose_entries(entries: torch.Tensor, sizes: torch.Tensor, needed: torch.Tensor) -> torch.Tensor:
    """The largest entries of a tile, as many as it takes to have enough samples.

    Args:
        entries: (batch, rows, columns) float32 scores.
        sizes: The same shape, int64, samples that each entry would add.
        needed: (batch,) int64, samples that are wanted.

    Returns:
        (batch, rows, columns) float32, 1 for those.
    """
    ranked = entries.detach().flatten(1).argsort(dim=1, descending=True, stable=True)
    added = sizes.flatten(1).gather(1, ranked)
    is_chosen = added.cumsum(1) - added < needed[:, None]
    return torch.zeros_like(entries.flatten(1)).scatter(1, ranked, is_chosen.to(entries.dtype)).view_as(entries)


def keep_ties(scores: torch.Tensor, counts: torch.Tensor, slope: float) -> torch.Tensor:
    """All scores from the `counts`-th largest on, as the study keeps them.

    Args:
        scores: (batch, rows, columns) float32.
        counts: (batch,) int64.
        slope: Of the hard sigmoid whose rounding makes the mask; a kept score that noise took below 0 becomes 0.

    Returns:
        (batch, rows, columns) float32, 0 or 1.
    """
    flat = scores.detach().flatten(1)
    least = flat.sort(dim=1, descending=True).values.gather(1, counts[:, None] - 1)
    kept = torch.where(flat >= least, flat, 0.0)
    return _hard_sigmoid(kept, slope).round().view_as(scores)  # half to even: 0 stays 0


def kept_gradient(scores: torch.Tensor, mask: torch.Tensor, slope: float) -> torch.Tensor:
    """Smooth stand-in of the study: a hard sigmoid where kept, no gradient elsewhere."""
    return _hard_sigmoid(scores, slope) * mask.detach()


def centred_gradient(scores: torch.Tensor, mask: torch.Tensor, taken: torch.Tensor, slope: float) -> torch.Tensor:
    """Smooth stand-in whose gradient reaches every entry and leaves the budget alone.

    It is the gradient of a soft step at the threshold t between kept and dropped scores, sigmoid(slope (score - t)),
    where t moves with the scores so that the sum stays: entry i gets w_i (g_i - sum(w g) / sum(w)) for an upstream
    gradient g and weights w, the slope of the step at each score over its largest. An entry is raised if a sample there
    is worth more than what it would displace; that all would like to be sampled cancels.

    Args:
        scores: (batch, rows, columns) float32.
        mask: The same shape, 0 or 1.
        taken: The same shape, bool, what no score decides.
        slope: 0 for equal weights.

    Returns:
        (batch, rows, columns) float32; its value means nothing.
    """
    found = scores.detach()
    is_kept = mask.detach() > 0
    least = torch.where(is_kept & ~taken, found, torch.inf).amin((1, 2), keepdim=True)
    most = torch.where(is_kept, -torch.inf, found).amax((1, 2), keepdim=True)
    has_choice = least.isfinite() & most.isfinite()
    threshold = torch.where(has_choice, (least + most) / 2, 0.0)
    step = torch.sigmoid(slope * (found - threshold))
    weights = torch.where(taken | ~has_choice, 0.0, 4 * step * (1 - step))
    total = weights.sum((1, 2), keepdim=True).clamp_min(_TINY)
    return weights * (scores - (weights * scores).sum((1, 2), keepdim=True) / total)


def score(probabilities: torch.Tensor, noise: torch.Tensor, noise_std: float) -> torch.Tensor:
    """Logarithm of the density of noisy probabilities, up to what has no gradient.

    Its gradient times a loss is, on average, the gradient of the average loss, whatever the mask does in between.

    Args:
        probabilities: (batch, rows, columns) float32.
        noise: The same shape, standard normal, what was added times `noise_std`; 0 where it decides nothing.
        noise_std: More than 0.

    Returns:
        (batch,) float32.
    """
    return (noise * probabilities).sum((1, 2)) / noise_std


def score_loss(scores: torch.Tensor, losses: torch.Tensor, num_draws: int) -> torch.Tensor:
    """What is added to the loss of the network so that the sampler learns: its gradient is that of the average loss.

    The draws of a slice are compared with their mean, and the differences are relative to it, so that neither slices
    that are hard anyway nor bright ones decide.

    Args:
        scores: (slices * draws,) float32, of `Sampler.draw`; the draws of a slice are neighbours.
        losses: (slices * draws,) float32, of each sample alone, not negative; no gradient goes through it.
        num_draws: At least 2.

    Returns:
        () float32; its value means nothing.
    """
    each = losses.detach().view(-1, num_draws)
    mean = each.mean(1, keepdim=True)
    # Each draw is part of its own baseline, which the factor makes up for.
    advantages = (each - mean) / mean.clamp_min(_TINY) * (num_draws / (num_draws - 1))
    return (advantages.flatten() * scores).mean()


def rescale(probabilities: torch.Tensor, taken: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Probabilities whose sum is the budget, by `rescale_to_budget`.

    Args:
        probabilities: (batch, rows, columns) float32 in [0, 1].
        taken: The same shape, bool.
        counts: (batch,) int64, samples of each mask, what is taken among them.

    Returns:
        (batch, rows, columns) float32, 1 where taken; differentiable, so that a gradient which is the same everywhere
        changes nothing.
    """
    num_wanted = (counts[:, None] - taken.sum((1, 2))[:, None]).clamp_min(0)
    scaled = rescale_to_budget(probabilities.flatten(1), ~taken.flatten(1), num_wanted)
    return torch.where(taken, 1.0, scaled.view_as(probabilities))


def rescale_to_budget(
    probabilities: torch.Tensor, is_free: torch.Tensor, num_wanted: torch.Tensor | int
) -> torch.Tensor:
    """Bring the sum over what is free to a number: scale probabilities down, or what they lack to 1.

    Args:
        probabilities: (batch, n) float32 in [0, 1].
        is_free: (batch, n) bool; others stay as they are.
        num_wanted: (batch, 1) int64, or the same for all; at most as many as are free.
    """
    num_free = is_free.sum(-1, keepdim=True).clamp_min(1)
    wanted = num_wanted / num_free
    mean = torch.where(is_free, probabilities, 0.0).sum(-1, keepdim=True) / num_free
    # Each branch divides by 0 where the other one counts, and gradients would see it.
    lowered = probabilities * (wanted / mean.clamp_min(_TINY))
    raised = 1 - (1 - probabilities) * ((1 - wanted) / (1 - mean).clamp_min(_TINY))
    return torch.where(is_free, torch.where(wanted <= mean, lowered, raised), probabilities)


def draw(probabilities: torch.Tensor, uniforms: torch.Tensor, slope: float) -> torch.Tensor:
    """Independent draws, 1 where the probability exceeds its uniform number.

    Args:
        probabilities: (...) float32, of any shape.
        uniforms: The same shape, in [0, 1).
        slope: Of the sigmoid whose gradient is taken at the difference.

    Returns:
        The same shape, float32, 0 or 1.
    """
    difference = probabilities - uniforms
    return straight_through((difference > 0).to(difference.dtype), torch.sigmoid(slope * difference))


def _hard_sigmoid(scores: torch.Tensor, slope: float) -> torch.Tensor:
    return (torch.nn.functional.hardtanh(slope * scores) + 1) / 2
