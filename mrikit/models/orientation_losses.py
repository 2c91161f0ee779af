"""Losses by which a reconstructor and discriminators of orientation learn against each other.

Source:
    Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699; the regulariser is R1
    of Mescheder et al., Which training methods for GANs do actually converge, ICML 2018, arXiv:1801.04406, on
    reconstructions instead of real images, without the factor of a half.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from mrikit.models.orientation_discriminators import as_inputs


class OrientationTerms(NamedTuple):
    """What a batch of reconstructions costs both sides, none of it weighted."""

    predictor: torch.Tensor
    """(batch,) float32, what the reconstructor pays for being found out; no gradient to the discriminators."""
    adversary: torch.Tensor
    """(batch,) float32, what the discriminators pay for being wrong; no gradient to the reconstructor."""
    regulariser: torch.Tensor
    """(batch,) float32, how steep the discriminators are; no gradient to the reconstructor. 0 if not asked for."""
    logits: torch.Tensor
    """(batch, count) float32 of the discriminators, without gradient."""


def orientation_terms(
    discriminators: nn.Module,
    image: torch.Tensor,
    is_transposed: torch.Tensor,
    targets: torch.Tensor,
    *,
    is_regularised: bool = True,
) -> OrientationTerms:
    """Both sides of one step; the sum of what is weighted may be differentiated at once.

    Args:
        discriminators: (batch, 3, y, x) float32 to (batch, count) logits, see
            `mrikit.models.orientation_discriminators.Discriminators`.
        image: (batch, y, x) float32 magnitude, as reconstructed.
        is_transposed: (batch,) bool, whether each scan was.
        targets: (batch,) float32, what the reconstructor wants to be taken for, see `predictor_targets`.
        is_regularised: Whether to compute the regulariser, which needs a second derivative.

    Raises:
        DataError: Images of both orientations that are not square, or that are too small.
    """
    inputs = as_inputs(image, is_transposed)
    # Frozen weights without switching their gradients off, which a distributed optimiser would have to know of.
    frozen = {name: weight.detach() for name, weight in discriminators.named_parameters()}
    deceived = functional_call(discriminators, frozen, (inputs,))
    seen = inputs.detach().requires_grad_(is_regularised)
    logits = discriminators(seen)
    penalty = gradient_penalty(logits, seen) if is_regularised else torch.zeros_like(logits[:, 0])
    return OrientationTerms(
        predictor=cross_entropy(deceived, targets),
        adversary=cross_entropy(logits, is_transposed.to(logits.dtype)),
        regulariser=penalty,
        logits=logits.detach(),
    )


def predictor_targets(
    is_transposed: torch.Tensor, *, uncertain: bool = True, inverts_uncertain: bool = False
) -> torch.Tensor:
    """What the reconstructor wants each image to be taken for.

    Args:
        is_transposed: (batch,) bool.
        uncertain: Whether discriminators shall not know, 1/2; else they shall be wrong.
        inverts_uncertain: Whether `uncertain` means the opposite, as in the published code, against its help.

    Returns:
        (batch,) float32, 1 for transposed, 0 for not.
    """
    wrong = 1 - is_transposed.float()
    return torch.full_like(wrong, 0.5) if uncertain != inverts_uncertain else wrong


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(batch, count) logits and (batch,) targets in [0, 1] to (batch,) float32, the mean over the discriminators."""
    wanted = targets[:, None].expand_as(logits).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)


def gradient_penalty(logits: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """How steep discriminators are: the energy of the gradient of the sum of their logits, differentiable itself.

    Args:
        logits: (batch, count) float32, computed of `inputs`, each row of one of them.
        inputs: (batch, 3, y, x) float32 that requires a gradient.

    Returns:
        (batch,) float32.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient.float().square().flatten(1).sum(1)


def orientation_accuracy(logits: torch.Tensor, is_transposed: torch.Tensor) -> torch.Tensor:
    """(batch, count) logits and (batch,) bool to () float32: how many orientations are told, 1/2 by guessing."""
    return ((logits > 0) == is_transposed[:, None]).float().mean()
