"""PolicySetting: what a policy is made for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from mrikit.acquire.looking import FullScan
    from mrikit.acquire.reconstructors import Reconstructor


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySetting:
    """What a policy is for."""

    matrix: tuple[int, int]
    """(readout, phase) of k-space."""
    num_given: int
    """Lines measured before the first decision."""
    budget: int
    """Lines to choose."""
    reconstructor: "Reconstructor | None" = None
    """What makes images; None where nothing does."""
    device: "torch.device | str" = "cpu"
    """Where it computes."""
    truth: "FullScan | None" = None
    """The slices at hand, fully sampled, whose numbers are their places in the observation; None where that is not
    known."""
