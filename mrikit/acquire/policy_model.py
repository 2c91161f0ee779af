"""PolicyModel: a policy and a reconstructor as the model of a method that acquires whole scans."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from mrikit.acquire.looking import FullScan, acquired_lines
from mrikit.acquire.method import choose_lines
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.reconstructors import Reconstructor
from mrikit.data import ScanBatch
from mrikit.errors import DataError
from mrikit.masks.kinds.center import center_block
from mrikit.models.adaptive import Draw
from mrikit.models.output import Output, image_of
from mrikit.volumes.decisions import STEP_SCORES

NUM_FRAMES = 6
"""Images of a slice that are kept, of the given lines and after some decisions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyModelConfig:
    """What a method that acquires by a policy is; its outputs carry it."""

    policy: str
    """Its name."""
    policy_config: Mapping[str, Any]
    """Its settings that differ from the defaults."""
    policy_digest: str = ""
    """The first digits of a digest of what it took from files, an order or a network; empty of others."""
    num_given: int
    """Lines in the middle that are measured before the first decision."""
    budget: int
    """Lines that are chosen."""
    reconstructor: str
    """What makes images."""
    reconstructor_weights: str = ""
    """The first digits of the digest of its weights; empty of a classical one."""
    num_adjacent: int = 1
    """Slices that it sees together."""


class PolicyModel(nn.Module):
    """Acquires each slice of a scan by a policy, and scores what every line was worth.

    Args:
        config: What it is.
        policy: From what masks of the slices at hand are worth to the policy; most do not ask.
        reconstructor: Makes the images.
        matrix: (readout, phase) of k-space that the policy is for; None for any.
    """

    def __init__(
        self,
        config: PolicyModelConfig,
        policy: Callable[[FullScan], Policy],
        reconstructor: Reconstructor,
        matrix: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.config, self._matrix = config, matrix
        self._policy, self._reconstructor = policy, reconstructor

    def forward(self, *_inputs: torch.Tensor) -> NoReturn:
        """Refuse slices whose lines are known already.

        Raises:
            DataError: Always.
        """
        raise DataError("acquired undersampled; lines can only be chosen of full k-space")

    def acquire_scan(self, scan: ScanBatch, draws: Sequence[Draw]) -> Output:
        """Acquire every slice line by line; see `mrikit.reconstruct.acquire.ScanMethod`.

        Raises:
            DataError: A budget larger than the free columns, or a policy does not suit the slices.
        """
        self._require_matrix(scan.shape)
        full = FullScan(scan=scan, reconstructor=self._reconstructor)
        images = torch.arange(len(scan.kspace), device=scan.kspace.device)
        can_measure = acquired_lines(scan)
        given = torch.from_numpy(center_block(scan.shape[1], self.config.num_given)).to(images.device)
        output = choose_lines(
            self._policy(full),
            lambda lines: full.look(images, lines),
            given & can_measure,
            draws,
            self.config.budget,
            is_acquired=can_measure,
        )
        seen, scores = self._watch(full, images, output)
        places = np.unique(np.linspace(0, self.config.budget, NUM_FRAMES).round().astype(int))
        extras = {name: value for name, value in output.extras.items() if name != "images"}
        frames = {"frames": seen[places.tolist()], "frame_steps": torch.from_numpy(places)}
        return output._replace(extras={**extras, "scores": scores, **frames})

    def _require_matrix(self, shape: tuple[int, int]) -> None:
        if self._matrix not in (None, shape):
            found, wanted = (" x ".join(map(str, size)) for size in (shape, self._matrix or ()))
            raise DataError(f"k-space of {found}, and the policy was learned for {wanted}; choose other volumes")

    def _watch(self, full: FullScan, images: torch.Tensor, output: Output) -> tuple[torch.Tensor, torch.Tensor]:
        """(1 + decision, batch, y, x) images, and (1 + decision, batch, score) float32 what they are worth."""
        masks, seen = output.extras["masks"] > 0, output.extras["images"]
        if len(seen) + 1 < len(masks):  # nobody looked: now, where it costs no decision any time
            seen = torch.stack([image_of(full.look(images, lines)) for lines in masks[:-1]])
        seen = torch.cat([seen, image_of(output)[None]]) if len(masks) > 1 else image_of(output)[None]
        found = [full.measure(images, shown, STEP_SCORES) for shown in seen]
        scores = [[one[name] for name in STEP_SCORES] for one in found]
        return seen, torch.tensor(np.array(scores)).float().transpose(1, 2)
