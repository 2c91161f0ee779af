"""Masks from scores: what is kept, and the gradient that is put in place of the step's.

A mask is 0 or 1, and its true gradient is 0 nearly everywhere. The estimators here keep the mask and take the gradient
of something smooth (straight-through).

Source:
    Bengio et al., Estimating or propagating gradients through stochastic neurons, arXiv 1308.3432 (straight-through);
    Bahadir et al., Deep-learning-based optimization of the under-sampling pattern in MRI, arXiv 1907.11374, eq. 5
    (rescaling); Yin et al., End-to-end sequential sampling and reconstruction for MRI, arXiv 2105.06460 (slope of the
    draws).
"""

import torch

_TINY = 1e-12


def straight_through(mask: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
    """The mask, exactly, with the gradient of the smooth tensor."""
    return mask.detach() + (smooth - smooth.detach())


def keep_largest(scores: torch.Tensor, taken: torch.Tensor, counts: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """What is taken already and the largest scores beside it, exactly as many as asked for.

    Args:
        scores: (batch, rows, columns) float32.
        taken: The same shape, bool.
        counts: (batch,) int64, samples of each mask, what is taken among them.
        order: (rows * columns,) int64, flat places in the order in which equals are taken.

    Returns:
        (batch, rows, columns) float32, 0 or 1.
    """
    ranked = torch.where(taken, torch.inf, scores.detach()).flatten(1)[:, order]
    best = order[ranked.argsort(dim=1, descending=True, stable=True)]
    is_kept = torch.arange(len(order), device=scores.device) < counts[:, None]
    return torch.zeros_like(ranked).scatter_(1, best, is_kept.to(ranked.dtype)).view_as(scores)


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


def rescale(probabilities: torch.Tensor, taken: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Probabilities whose sum is the budget: lowered towards 0 or raised towards 1, all by one factor.

    Args:
        probabilities: (batch, rows, columns) float32 in [0, 1].
        taken: The same shape, bool.
        counts: (batch,) int64, samples of each mask, what is taken among them.

    Returns:
        (batch, rows, columns) float32, 1 where taken; differentiable, so that a gradient which is the same everywhere
        changes nothing.
    """
    is_free = ~taken
    num_free = is_free.sum((1, 2), keepdim=True).clamp_min(1)
    target = (counts.view(-1, 1, 1) - taken.sum((1, 2), keepdim=True)).clamp_min(0) / num_free
    mean = torch.where(is_free, probabilities, 0.0).sum((1, 2), keepdim=True) / num_free
    lowered = probabilities * (target / mean.clamp_min(_TINY))
    raised = 1 - (1 - probabilities) * ((1 - target) / (1 - mean).clamp_min(_TINY))
    return torch.where(taken, 1.0, torch.where(target <= mean, lowered, raised))


def draw(probabilities: torch.Tensor, uniforms: torch.Tensor, slope: float) -> torch.Tensor:
    """Independent draws, 1 where the probability exceeds its uniform number.

    Args:
        probabilities: (batch, rows, columns) float32.
        uniforms: The same shape, in [0, 1).
        slope: Of the sigmoid whose gradient is taken at the difference.

    Returns:
        (batch, rows, columns) float32, 0 or 1.
    """
    difference = probabilities - uniforms
    return straight_through((difference > 0).to(difference.dtype), torch.sigmoid(slope * difference))


def _hard_sigmoid(scores: torch.Tensor, slope: float) -> torch.Tensor:
    return (torch.nn.functional.hardtanh(slope * scores) + 1) / 2
