"""PromptMR and PromptMR+: unrolled reconstruction of a slice from its neighbours too, with prompts in each U-Net."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrikit.errors import DataError
from mrikit.models.blocks import (
    channels_to_complex,
    complex_to_channels,
    normalise,
    pad_to_multiple,
    unnormalise,
    unpad,
)
from mrikit.models.prompt_unet import History, PromptUnet, PromptUnetConfig
from mrikit.models.promptmr_config import PromptMRConfig
from mrikit.models.sensitivity import count_center_lines, divide_by_rss, keep_center, map_in_groups
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep


class Scan(NamedTuple):
    """What was measured and how; all arrays begin with the zero frequency or the middle pixel."""

    measured: torch.Tensor
    """(batch, slice, coil, readout, phase) complex64, k-space along `dims` and image along the other axis."""
    sampled: torch.Tensor
    """(batch, 1, 1, 1 or readout, phase) bool."""
    sens_maps: torch.Tensor
    """(batch, slice, coil, y, x) complex64, RSS 1 for each slice."""
    dims: tuple[int, ...]
    """Axes to transform: where whole lines are sampled, the readout can stay an image."""

    def expand(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, slice, y, x) images in their usual order to the fully sampled k-space of all coils."""
        image = torch.fft.ifftshift(image, dim=(-2, -1)).unsqueeze(2)
        return torch.fft.fftn(self.sens_maps * image, dim=self.dims, norm="ortho")

    def combine(self, kspace: torch.Tensor) -> torch.Tensor:
        """K-space like `measured` to (batch, slice, y, x) images in their usual order; the adjoint of `expand`."""
        coil_images = torch.fft.ifftn(kspace, dim=self.dims, norm="ortho")
        return torch.fft.fftshift(combine(coil_images, self.sens_maps), dim=(-2, -1))

    def sample(self, kspace: torch.Tensor) -> torch.Tensor:
        """Only what was sampled."""
        return keep(kspace, self.sampled)


class Progress(NamedTuple):
    """What a cascade hands to the next."""

    estimate: torch.Tensor
    """(batch, slice, coil, readout, phase) k-space or (batch, slice, y, x) images, complex64."""
    latent: torch.Tensor | None
    """(batch, slice, y, x) complex64, what the network remembers; None before the first cascade and without buffers."""
    history: History
    """Features that the network remembers."""


class PromptMR(nn.Module):
    """Coil sensitivities from the centre of k-space, then cascades of data consistency and a U-Net with prompts.

    Args:
        config: Its settings; `PromptMRConfig` says where they depart from the published code.

    Source:
        Xin et al., Fill the k-space and refine the image, STACOM 2023, arXiv:2309.13839 (PromptMR); Xin et al.,
        Rethinking deep unrolled model for accelerated MRI reconstruction, ECCV 2024 (PromptMR+).
    """

    needs_center = True
    """Whether masks have to sample the middle of k-space."""

    def __init__(self, config: PromptMRConfig) -> None:
        super().__init__()
        self.config = config
        self.activation = nn.PReLU() if config.shares_activation else None
        self.sens_net = NormPromptUnet(config.sens_unet(), self.activation) if config.sens_stem_width else None
        cascade = KspaceCascade if config.kspace_cascades else ImageCascade
        self.cascades = nn.ModuleList(
            cascade(NormPromptUnet(config.cascade_unet(index), self.activation), config)
            for index in range(config.num_cascades)
        )

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space of neighbouring slices to the (batch, y, x) magnitude of the middle one.

        Args:
            masked_kspace: (batch, slice, coil, readout, phase) complex64; without the slice axis for a network of one.
            mask: (batch, 1, 1, 1 or readout, phase) bool; without the slice axis where k-space has none.
            num_center_lines: (batch,) int64; 0 where unknown, to be counted in the mask.

        Raises:
            DataError: Another number of slices, or a mask that does not sample the middle of k-space.
        """
        masked_kspace, mask = self._with_slices(masked_kspace, mask)
        has_checkpoints = self.config.use_checkpoint and torch.is_grad_enabled()
        scan = self._scan(masked_kspace, mask, num_center_lines, has_checkpoints)
        start = scan.combine(scan.measured)
        progress = Progress(scan.measured if self.config.kspace_cascades else start, None, ())
        together = max(self.config.checkpoint_every, 1) if has_checkpoints else len(self.cascades)
        for first in range(0, len(self.cascades), together):
            segment = self.cascades[first : first + together]
            if has_checkpoints:
                progress = checkpoint(
                    _run, segment, progress, start, scan, use_reentrant=False, preserve_rng_state=False
                )
            else:
                progress = _run(segment, progress, start, scan)
        return self._magnitude(progress.estimate, scan)

    def _with_slices(self, masked_kspace: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wanted = self.config.num_adjacent
        if wanted == 1 and masked_kspace.ndim == mask.ndim == 4:
            masked_kspace, mask = masked_kspace.unsqueeze(1), mask.unsqueeze(1)
        if masked_kspace.ndim != 5 or mask.ndim != 5 or masked_kspace.shape[1] != wanted:
            raise DataError(
                f"promptmr was built for num_adjacent {wanted} and needs k-space (batch, {wanted}, coil, readout, "
                f"phase) and a mask (batch, 1, 1, 1, phase); found {tuple(masked_kspace.shape)} and "
                f"{tuple(mask.shape)}; load as many slices, or build it for those"
            )
        return masked_kspace, mask

    def _scan(
        self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor, has_checkpoints: bool
    ) -> Scan:
        sens_maps = self._find_sens_maps(masked_kspace, mask, num_center_lines, has_checkpoints)
        # What happens to whole lines and what happens along them do not mix: their readout stays transformed.
        dims = (-1,) if mask.shape[-2] == 1 else (-2, -1)
        measured = torch.fft.ifftshift(masked_kspace, dim=(-2, -1))
        if dims == (-1,):
            measured = torch.fft.ifft(measured, dim=-2, norm="ortho")
        return Scan(measured, torch.fft.ifftshift(mask, dim=dims), torch.fft.ifftshift(sens_maps, dim=(-2, -1)), dims)

    def _find_sens_maps(
        self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor, has_checkpoints: bool
    ) -> torch.Tensor:
        """(batch, slice, coil, y, x) complex64, RSS 1, in the usual order."""
        config, slice_mask = self.config, mask[:, 0]
        num_slices, num_coils = masked_kspace.shape[1:3]
        counted = count_center_lines(slice_mask, counts_one_in_full=config.counts_one_line_in_full_masks)
        is_known = (num_center_lines > 0) & (not config.counts_center_lines)
        num_center = torch.where(is_known, num_center_lines, counted)
        center = ifft2c(keep_center(masked_kspace.flatten(1, 2), slice_mask, num_center))
        center = center.unflatten(1, (num_slices, num_coils))
        if self.sens_net is None:
            return divide_by_rss(center)
        coils = center.transpose(1, 2).flatten(0, 1)
        if not config.sens_uses_adjacent:
            coils = coils.flatten(0, 1).unsqueeze(1)
        maps = map_in_groups(
            self.sens_net.map_images, coils, has_checkpoints=has_checkpoints, num_together=config.coils_at_a_time
        )
        return divide_by_rss(maps.view_as(center.transpose(1, 2)).transpose(1, 2))

    def _magnitude(self, estimate: torch.Tensor, scan: Scan) -> torch.Tensor:
        """(batch, y, x) float32 of the middle slice."""
        middle = self.config.num_adjacent // 2
        if self.config.kspace_cascades:
            coil_images = torch.fft.ifftn(estimate[:, middle], dim=scan.dims, norm="ortho")
            return torch.fft.fftshift(rss(coil_images), dim=(-2, -1))
        maps = scan.sens_maps.flatten(1, 2) if self.config.output_uses_all_maps else scan.sens_maps[:, middle]
        # The magnitude by RSS over one channel, whose gradient is finite at 0.
        return rss(estimate[:, middle, None]) * torch.fft.fftshift(rss(maps), dim=(-2, -1))


class Cascade(nn.Module):
    """A network that corrects images, given some more.

    Args:
        network: Maps the images of `num_adjacent` slices and of as many in each buffer.
        config: Of the whole.
    """

    def __init__(self, network: "NormPromptUnet", config: PromptMRConfig) -> None:
        super().__init__()
        self.network = network
        self.num_adjacent = config.num_adjacent
        self.num_buffers = config.num_buffers
        self.latent_start = config.num_adjacent * (2 if config.has_unused_outputs else 1)
        self.dc_weight = nn.Parameter(torch.ones(1))

    def correct(
        self, image: torch.Tensor, buffers: list[torch.Tensor], history: History
    ) -> tuple[torch.Tensor, torch.Tensor, History]:
        """(batch, slice, y, x) complex64 images to their correction, the next latent images and history."""
        outputs, history = self.network(torch.cat([image, *buffers], dim=1), history)
        latent = outputs[:, self.latent_start : self.latent_start + self.num_adjacent]
        return outputs[:, : self.num_adjacent], latent, history

    def fill_buffers(self, seen: torch.Tensor, latent: torch.Tensor, start: torch.Tensor) -> list[torch.Tensor]:
        """The images beside the current one."""
        return [seen, latent, start, *[seen - start] * (self.num_buffers - 3)]


class ImageCascade(Cascade):
    """One step on images: towards the data, and a correction."""

    def forward(self, progress: Progress, start: torch.Tensor, scan: Scan) -> Progress:
        """Improve the images; `start` are those of what was measured, (batch, slice, y, x) complex64."""
        image, latent, history = progress
        seen = scan.combine(scan.sample(scan.expand(image)))
        buffers = self.fill_buffers(seen, start if latent is None else latent, start) if self.num_buffers else []
        correction, latent, history = self.correct(image, buffers, history)
        return Progress(image - self.dc_weight * (seen - start) - correction, latent, history)


class KspaceCascade(Cascade):
    """One step on the k-space of all coils: towards the data where it was sampled, and a correction of the images."""

    def forward(self, progress: Progress, start: torch.Tensor, scan: Scan) -> Progress:
        """Improve k-space; `start` are the images of what was measured, (batch, slice, y, x) complex64."""
        kspace, latent, history = progress
        buffers = [start] * self.num_buffers
        if latent is not None and self.num_buffers:
            buffers = self.fill_buffers(scan.combine(scan.sample(kspace)), latent, start)
        correction, latent, history = self.correct(scan.combine(kspace), buffers, history)
        # Complex weights, because lerp wants one type.
        weight = (self.dc_weight * scan.sampled).to(kspace.dtype)
        return Progress(torch.lerp(kspace, scan.measured, weight) - scan.expand(correction), latent, history)


class NormPromptUnet(nn.Module):
    """A U-Net on complex images, all of which together are brought to mean 0 and standard deviation 1.

    Args:
        config: Of the U-Net.
        activation: One slope for all residual blocks but the very first, or None for each its own.
    """

    def __init__(self, config: PromptUnetConfig, activation: nn.PReLU | None) -> None:
        super().__init__()
        self.unet = PromptUnet(config, activation)
        self.multiple = 2 ** len(config.feature_widths)

    def forward(self, images: torch.Tensor, history: History = ()) -> tuple[torch.Tensor, History]:
        """(batch, image, y, x) complex64 to others in the scale of the input, and the history for the next cascade."""
        size = (images.shape[-2], images.shape[-1])
        channels, mean, std = normalise(complex_to_channels(images), num_groups=1)
        channels, history = self.unet(pad_to_multiple(channels, self.multiple), history)
        channels = unpad(channels, size, self.multiple)
        return channels_to_complex(unnormalise(channels, mean, std)), history

    def map_images(self, images: torch.Tensor) -> torch.Tensor:
        """Without history."""
        return self(images)[0]


def _run(segment: nn.ModuleList, progress: Progress, start: torch.Tensor, scan: Scan) -> Progress:
    for cascade in segment:
        progress = cascade(progress, start, scan)
    return progress
