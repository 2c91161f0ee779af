"""Adaptive VarNet: an end-to-end variational network that chooses, between its cascades, which lines come next."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrikit.errors import DataError
from mrikit.models.adaptive import Draw, Measure
from mrikit.models.adaptive_varnet_config import AdaptiveVarNetConfig, decision_budgets, decision_places
from mrikit.models.blocks import complex_to_channels, normalise
from mrikit.models.output import Output
from mrikit.models.policies import LearnedVector, LinePolicy, draw_lines, likeliest_lines, line_probabilities
from mrikit.models.sensitivity import center_lines, count_center_lines, divide_by_rss, keep_center
from mrikit.models.varnet import NormUnet, SensitivityNet
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import ifft2c


class AdaptiveVarNet(nn.Module):
    """Coil sensitivities from the centre, then cascades; between them policies look at the image and choose lines.

    Source:
        Bakker et al., On learning adaptive acquisition policies for undersampled multi-coil MRI reconstruction, MIDL
        2022, arXiv:2203.16392. The published training gave every sample the same random start, because arguments of its
        masks were mixed up; here the caller draws a start for each sample. What else differs has a switch in
        `AdaptiveVarNetConfig`, or see `decision_budgets`. K-space is kept in the order and partly transformed, as in
        `mrikit.models.varnet`.
    """

    def __init__(self, config: AdaptiveVarNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sens_net = (
            SensitivityNet(NormUnet(config.num_sens_channels, config.num_sens_pools))
            if config.num_sens_channels
            else None
        )
        self.cascades = nn.ModuleList(AdaptiveCascade(config) for _ in range(config.num_cascades))
        self.places, self.budgets = decision_places(config), decision_budgets(config)
        self.policies = nn.ModuleList(_make_policy(config) for _ in self.places)

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """What was measured already to the (batch, y, x) magnitude: nothing is acquired, no policy is asked.

        Args:
            masked_kspace: (batch, coil, readout, phase) complex64.
            mask: (batch, 1, 1, phase) bool.
            num_center_lines: (batch,) int64; 0 where unknown, to be counted in the mask.

        Raises:
            DataError: A mask that does not sample the middle of k-space, or one of two directions.
        """
        _require_lines(mask)
        sens_maps = self._map_coils(masked_kspace, mask, num_center_lines)
        measured, sampled = _along_lines(masked_kspace), torch.fft.ifftshift(mask, dim=-1)
        kspace = measured
        for cascade in self.cascades:
            kspace = self._improve(cascade, kspace, measured, sampled, sens_maps)
        return _image(kspace)

    def acquire(self, measure: Measure, start: torch.Tensor, draws: Sequence[Draw]) -> Output:
        """Measure, reconstruct a little, choose lines, measure them; see `mrikit.models.adaptive.AdaptiveMethod`.

        Raises:
            DataError: A start without the middle of k-space or with too few lines left to choose from, or images of
                another matrix than the policies'.
        """
        start, num_center = self._begin(start)
        lines = start[:, 0, 0].float()
        masks, probabilities = [lines], [lines.new_zeros((0, *lines.shape))]
        masked_kspace = measure(start)
        sens_maps = self._map_coils(masked_kspace, start, num_center)
        measured, sampled = _along_lines(masked_kspace), torch.fft.ifftshift(start, dim=-1)
        kspace = measured
        for place, cascade in enumerate(self.cascades):
            if place in self.places:
                lines, chances = self._decide(self.places.index(place), kspace, sens_maps, lines, draws)
                masks.append(lines)
                probabilities.append(chances[None])
                mask = lines[:, None, None]
                measured, sampled = _along_lines(measure(mask)), torch.fft.ifftshift(mask, dim=-1)
                # Later decisions bring their lines in by data consistency alone.
                kspace = kspace if place else measured
            kspace = self._improve(cascade, kspace, measured, sampled, sens_maps)
        extras = {
            "mask": lines[:, None, None].detach(),
            "masks": torch.stack(masks).detach(),
            "probabilities": torch.cat(probabilities).detach(),
        }
        return Output(image=_image(kspace), extras=extras)

    def _begin(self, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The lines to begin with, and (batch,) int64 how many in the middle coil sensitivities come from."""
        _require_lines(start)
        num_columns, given = start.shape[-1], self.config.num_center_lines
        num_center = (
            torch.full_like(start[:, 0, 0, 0], given, dtype=torch.int64) if given else count_center_lines(start)
        )
        center = center_lines(num_columns, num_center)[:, None, None]
        if bool((center & ~start).any()):
            raise DataError(
                f"a start without all {given} lines in the middle, which adaptive_varnet was set to find there"
            )
        if self.config.drops_outside_center:
            start = start & center
        if self.config.counts_center_twice and not given:
            num_center = count_center_lines(center)
        num_left = num_columns - int(start.sum(-1).max())
        if num_left < sum(self.budgets):
            raise DataError(
                f"{num_left} of {num_columns} lines are left to choose from, but the budget is {sum(self.budgets)}; "
                f"begin with fewer lines"
            )
        return start, num_center

    def _decide(
        self, index: int, kspace: torch.Tensor, sens_maps: torch.Tensor, lines: torch.Tensor, draws: Sequence[Draw]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The (batch, phase) float32 lines with those chosen now, and the probabilities of each."""
        config, num_lines = self.config, self.budgets[index]
        image = torch.fft.fftshift(combine(torch.fft.ifft(kspace, norm="ortho"), sens_maps), dim=(-2, -1))
        channels = complex_to_channels(image.unsqueeze(1))
        if not config.gives_raw_images:
            channels = normalise(channels, num_groups=1)[0]
        logits = self.policies[index](channels)
        chances = line_probabilities(logits, lines, num_lines, head=config.head, slope=config.slope)
        if config.decides == "top_k" and not self.training:
            chosen = likeliest_lines(chances, lines == 0, num_lines)
        else:
            slope, clamps = config.straight_through_slope, config.clamps_gradient
            chosen = draw_lines(chances, draws, slope=slope, clamps_gradient=clamps)
        return lines + chosen, chances

    def _map_coils(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center: torch.Tensor) -> torch.Tensor:
        """(batch, coil, y, x) complex64 sensitivities from the middle of k-space, RSS 1, the middle pixel first."""
        center = keep_center(masked_kspace, mask, num_center)
        if self.sens_net is None:
            # Of the centre alone, as at the start, maps of the whole centre would make a real image, and the networks
            # would see the rounding errors of its imaginary part brought to standard deviation 1.
            sens_maps = divide_by_rss(ifft2c(center * _taper(mask, num_center)))
        else:
            sens_maps = self.sens_net(ifft2c(center), self._has_checkpoints())
        return torch.fft.ifftshift(sens_maps, dim=(-2, -1))

    def _improve(self, cascade: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        again = self._has_checkpoints()
        better: torch.Tensor = checkpoint(cascade, *inputs, use_reentrant=False) if again else cascade(*inputs)
        return better

    def _has_checkpoints(self) -> bool:
        return self.config.use_checkpoint and torch.is_grad_enabled()


class AdaptiveCascade(nn.Module):
    """One step: towards the data where it was measured, and a correction of the image by a network.

    All its arrays begin with the zero frequency or the middle pixel; k-space is k-space along the phase axis alone.
    """

    def __init__(self, config: AdaptiveVarNetConfig) -> None:
        super().__init__()
        self.network = NormUnet(config.num_channels, config.num_pools)
        self.dc_weight = None if config.hard_dc else nn.Parameter(torch.ones(1))
        self.dc_mode = config.dc_mode
        self.is_sparse = config.sparse_dc_gradients

    def forward(
        self, kspace: torch.Tensor, measured: torch.Tensor, sampled: torch.Tensor, sens_maps: torch.Tensor
    ) -> torch.Tensor:
        """Improve k-space.

        Args:
            kspace: (batch, coil, readout, phase) complex64.
            measured: Like `kspace`, what the scanner gave.
            sampled: (batch, 1, 1, phase) bool, or float32 if chosen.
            sens_maps: (batch, coil, y, x) complex64, RSS 1.

        Returns:
            Like `kspace`.
        """
        if self.dc_mode == "first":
            kspace = kspace - self._mismatch(kspace, measured, sampled)
            return kspace - self._correction(kspace, sens_maps)
        if self.dc_mode == "simul":
            return kspace - self._mismatch(kspace, measured, sampled) - self._correction(kspace, sens_maps)
        kspace = kspace - self._correction(kspace, sens_maps)
        return kspace - self._mismatch(kspace, measured, sampled)

    def _mismatch(self, kspace: torch.Tensor, measured: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
        """How far k-space is from what was measured, weighted; 0 where nothing was."""
        is_sparse = self.is_sparse
        mismatch = torch.where(sampled != 0, kspace - measured, 0.0) if is_sparse else kspace * sampled - measured
        return mismatch if self.dc_weight is None else self.dc_weight * mismatch

    def _correction(self, kspace: torch.Tensor, sens_maps: torch.Tensor) -> torch.Tensor:
        image = combine(torch.fft.ifft(kspace, norm="ortho"), sens_maps)
        correction = self.network(torch.fft.fftshift(image, dim=(-2, -1)).unsqueeze(1))
        return torch.fft.fft(sens_maps * torch.fft.ifftshift(correction, dim=(-2, -1)), norm="ortho")


def _make_policy(config: AdaptiveVarNetConfig) -> nn.Module:
    if config.policy == "loupe":
        return LearnedVector(config.matrix[1], config.head)
    return LinePolicy(
        config.matrix,
        config.num_policy_channels,
        config.policy_fc_size,
        config.num_policy_fc_layers,
        config.policy_activation,
    )


def _taper(mask: torch.Tensor, num_center: torch.Tensor) -> torch.Tensor:
    """(batch, 1, 1, phase) float32 that falls from 1 in the middle to 0 beside the centre lines."""
    num_center = torch.where(num_center > 0, num_center, count_center_lines(mask))[:, None, None, None]
    distance = torch.arange(mask.shape[-1], device=mask.device) - mask.shape[-1] // 2
    angle = torch.pi * distance / (num_center + 2)
    return torch.where(angle.abs() < torch.pi / 2, angle.cos().square(), 0.0)


def _along_lines(kspace: torch.Tensor) -> torch.Tensor:
    """Centred k-space with the zero frequency first and the readout transformed: what happens to lines keeps it so."""
    return torch.fft.ifft(torch.fft.ifftshift(kspace, dim=(-2, -1)), dim=-2, norm="ortho")


def _image(kspace: torch.Tensor) -> torch.Tensor:
    """(batch, y, x) float32 root sum of squares of what `_along_lines` gives."""
    return torch.fft.fftshift(rss(torch.fft.ifft(kspace, norm="ortho")), dim=(-2, -1))


def _require_lines(mask: torch.Tensor) -> None:
    if mask.shape[-2] != 1:
        raise DataError("adaptive_varnet measures whole lines, found a pattern of two directions; use a line mask")
