"""What CVPR'19's reconstructor and evaluator minimise against each other.

Source:
    Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
    arXiv:1902.03051, and the trainer that was published with it.
"""

from typing import Final

import torch

from mrikit.physics.fft import fft2c

_LOG_VARIANCES: Final = (-9.2, 1.609)
"""About log of 1e-4 and of 5; there is no gradient outside."""


def uncertainty_loss(
    image: torch.Tensor, log_variance: torch.Tensor, reference: torch.Tensor, scale: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Negative log-likelihood of each pixel, but for a constant, if errors are normal.

    Args:
        image: (batch, y, x) float32 magnitude.
        log_variance: (batch, y, x) float32, in the squared unit of the image.
        reference: (batch, y, x) float32 magnitude.
        scale: Above 0, a number or (batch, 1, 1): the size of values in such images. In its unit variances are kept
            between 1e-4 and 5.

    Returns:
        (batch, y, x) float32.
    """
    unit = torch.as_tensor(scale, dtype=torch.float32, device=image.device)
    bounded = (log_variance - 2 * unit.log()).clamp(*_LOG_VARIANCES)
    return ((image - reference) / unit).square() * torch.exp(-bounded) / 2 + bounded / 2


def line_errors(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean square error of each line of k-space.

    Args:
        image: (batch, y, x) complex64 or float32.
        reference: Likewise.

    Returns:
        (batch, phase) float32, the mean over the readout and over both parts of a complex number.
    """
    return fft2c(image - reference).abs().square().mean(-2) / 2


def evaluator_targets(errors: torch.Tensor, mask: torch.Tensor, steepness: float) -> torch.Tensor:
    """What the evaluator is to say of a reconstruction: 1 where it was measured, towards 0 where it is wrong.

    Args:
        errors: (batch, phase) float32 from `line_errors`.
        mask: (batch, phase) bool.
        steepness: How fast scores fall with errors. Published: 3000 for raw data, 100 for DICOM images.

    Returns:
        (batch, phase) float32. Of a fully sampled image they are 1 everywhere.
    """
    return torch.where(mask, 1.0, torch.exp(-steepness * errors))


def least_squares(scores: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
    """Mean square difference of scores and targets, the adversarial loss of both networks.

    Args:
        scores: (batch, phase) float32 of the evaluator.
        targets: Likewise, `evaluator_targets`; all 1 for the reconstructor, which is to deceive it.
        counts: (batch, phase) bool, the lines that count, at least one; all if None.

    Returns:
        () float32.
    """
    squares = (scores - targets).square()
    return squares.mean() if counts is None else squares[counts].mean()
