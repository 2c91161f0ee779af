"""FullScan: slices and a reconstructor, what masks of them show, and what that is worth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mrikit.acquire.policies.oracle import ScoreMasks
from mrikit.acquire.reconstructors import Reconstructor
from mrikit.acquire.rewards import SCORES, Scores, measure_scores, value
from mrikit.data import ScanBatch, center_crop
from mrikit.errors import ConfigError
from mrikit.models.output import Output, image_of

_AT_A_TIME = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FullScan:
    """Fully sampled slices of one shape, and what makes images of them."""

    scan: ScanBatch
    """With references; its data range is that of SSIM and PSNR."""
    reconstructor: Reconstructor

    def look(self, images: torch.Tensor, lines: torch.Tensor) -> Output:
        """What is reconstructed of some lines.

        Args:
            images: (n,) int64, which slice of the batch each is of.
            lines: (n, phase) bool.

        Returns:
            Its image is (n, y, x) float32 of the full field of view.
        """
        return self.reconstructor.reconstruct(replace(self.scan, kspace=self.scan.kspace[images]), lines)

    def measure(self, images: torch.Tensor, shown: torch.Tensor, names: Sequence[str]) -> Scores:
        """How near (n, y, x) float32 images are to the references of their slices, (n,) int64, by name.

        As `mrikit evaluate` does, they are compared in a square at most as high as it is wide.
        """
        scan = self.scan
        assert scan.reference is not None
        assert scan.data_range is not None
        height, width = scan.reference.shape[-2:]
        window = min(height, width), width
        reference = center_crop(scan.reference, window)[images]
        cropped = center_crop(center_crop(shown, scan.crop), window)
        return measure_scores(cropped, reference, scan.data_range[images].tolist(), names)

    def measure_lines(self, images: torch.Tensor, lines: torch.Tensor, names: Sequence[str]) -> Scores:
        """The same of what is reconstructed of some lines; arguments as of `look`."""
        parts = [
            self.measure(some, image_of(self.look(some, chosen)), names)
            for some, chosen in zip(images.split(_AT_A_TIME), lines.split(_AT_A_TIME), strict=True)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def score(self, name: str) -> ScoreMasks:
        """What masks of the slices are worth by one score, as an oracle asks for it.

        Raises:
            ConfigError: There is no such score.
        """
        if name not in SCORES:
            raise ConfigError(f"an oracle scores by {', '.join(SCORES)}, found {name!r}")

        def score(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                found = self.measure_lines(images, masks, (name,))
            return torch.from_numpy(value(name, found[name])).to(masks.device)

        return score


def full_scan(scans: Sequence[ScanBatch], reconstructor: Reconstructor) -> FullScan:
    """Several batches of one shape as one."""
    first, *_ = scans
    references = [scan.reference for scan in scans if scan.reference is not None]
    ranges = [scan.data_range for scan in scans if scan.data_range is not None]
    joined = replace(
        first,
        kspace=torch.cat([scan.kspace for scan in scans]),
        reference=torch.cat(references),
        data_range=torch.cat(ranges),
        facts=tuple(facts for scan in scans for facts in scan.facts),
    )
    return FullScan(scan=joined, reconstructor=reconstructor)


def acquired_lines(scan: ScanBatch) -> torch.Tensor:
    """(batch, phase) bool, the lines that the scanner can measure of each slice."""
    columns = torch.arange(scan.shape[1], device=scan.kspace.device)
    bounds = [facts.acquired.columns for facts in scan.facts]
    return torch.stack([(columns >= left) & (columns < right) for left, right in bounds])
