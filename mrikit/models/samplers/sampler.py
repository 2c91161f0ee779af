"""A sampling pattern with parameters, learned together with any network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from mrikit.errors import ConfigError
from mrikit.masks import Mask, measured
from mrikit.masks.mask import center_of, center_size
from mrikit.models.samplers import budget, estimators
from mrikit.models.samplers.config import SamplerConfig
from mrikit.models.samplers.start import start_logits


class Drawn(NamedTuple):
    """What a sampler draws for a batch."""

    steps: list[torch.Tensor]
    """Masks after each of `num_steps` steps; each holds the one before."""
    scores: torch.Tensor
    """(batch,) float32 for `estimators.score_loss`; 0 but with gradient `score`, where masks have no gradient."""


class Sampler(nn.Module):
    """Masks of learned probabilities, at exactly the budget of their acceleration.

    In training, each sample of a batch has noise of its own, so that near the threshold samples are tried and left; in
    evaluation there is none. The only state is `logits`; with the configuration and the accelerations it is the mask.

    The default gradient departs from the study, where kept entries alone get one. Here every entry does, by the product
    mask * k-space, which has a gradient also where nothing was sampled, less that of what would be displaced
    (`estimators.centred_gradient`). It is not shown to find tiles as good as the best fixed one: first trials, of one
    or two seeds, did not, nor did they with `score` or `bernoulli`.

    Args:
        config: With the shape of k-space.
        accelerations: What `levels` are indices of, at least 1 each.
        reads_start: Whether logits begin with the file `config.start`. False where weights are loaded, which hold them.

    Source:
        The study: see docs/sampling.md. Bernoulli masks: Bahadir et al., arXiv 1907.11374 (LOUPE).
    """

    _center: torch.Tensor
    _order: torch.Tensor
    _rings: torch.Tensor
    _entry_counts: torch.Tensor
    _entry_center: torch.Tensor

    def __init__(self, config: SamplerConfig, accelerations: Sequence[float], *, reads_start: bool = True) -> None:
        super().__init__()
        if not config.kind or not accelerations:
            raise ConfigError("a sampler needs a sampler.kind (lines, global, tile) and at least one acceleration")
        self.config = config
        self.accelerations = tuple(map(float, accelerations))
        budgets = budget.grid_budgets(config, self.accelerations)
        grid, entries = budget.grid_shape(config), budget.entry_shape(config)
        self._grid = grid
        # Nested masks rank samples one by one: the rim of a sparser one might lie outside that of a denser one.
        self._ranks_entries = config.kind == "tile" and not config.is_nested
        self._limit = grid[1] if grid[0] == 1 else min(grid)
        self.logits = nn.Parameter(torch.empty(1 if config.is_nested else len(budgets), *entries))
        bound = (entries[0] * entries[1]) ** -0.5
        nn.init.uniform_(self.logits, -bound, bound)
        if config.start and reads_start:
            first = torch.from_numpy(start_logits(config, budgets[0].center))
            with torch.no_grad():
                self.logits.copy_(first.expand_as(self.logits))
        self._keep("_center", np.stack([one.center for one in budgets]))
        self._num_samples = [one.num_samples for one in budgets]
        self._num_center = [int(one.center.sum()) for one in budgets]
        self._keep("_order", budget.from_middle(grid))
        self._keep("_rings", budget.rings(grid))
        if config.keeps_ties:
            self._keep("_entry_counts", np.array([budget.entries_kept(config, one) for one in budgets]))
            self._keep("_entry_center", budget.study_centers(config, self.accelerations, budgets))

    def forward(self, rngs: Sequence[np.random.Generator], levels: Sequence[int], progress: float) -> torch.Tensor:
        """A mask for each sample.

        Args:
            rngs: A generator for each sample, which draws its noise; unused in evaluation.
            levels: Index of the acceleration of each sample.
            progress: How much of training is done, 0 to 1, for the schedules.

        Returns:
            (batch, 1, 1 or readout, phase) float32, exactly 0 or 1, to be used through `mrikit.physics.sampling.keep`;
            differentiable in the logits. Exactly the budget, but for `bernoulli` in training: there on average.

        Raises:
            ConfigError: In training with gradient `score`, which needs `draw`: nothing would be learned.
        """
        return self.steps(rngs, levels, progress)[-1]

    def steps(self, rngs: Sequence[np.random.Generator], levels: Sequence[int], progress: float) -> list[torch.Tensor]:
        """As `forward`, the masks after each of `num_steps` steps; each holds the one before.

        The budget outside the centre is spent in equal parts, with new noise for each.

        Raises:
            ConfigError: As `forward`.
        """
        if self.training and self.config.gradient == "score":
            raise ConfigError("sampler.gradient=score learns from several draws, which are not made here; all would do")
        return self.draw(rngs, levels, progress).steps

    def draw(self, rngs: Sequence[np.random.Generator], levels: Sequence[int], progress: float) -> Drawn:
        """As `steps`, with what the gradient `score` needs.

        That gradient compares the masks of one slice: the batch holds each slice `config.draws` times, next to one
        another and with one level. `estimators.score_loss` of the scores and of each sample's loss is added to the
        loss.
        """
        return self._draw(rngs if self.training else None, levels, progress)

    @torch.no_grad()
    def probabilities(self, level: int) -> torch.Tensor:
        """What is learned, for pictures: (phase,) or (readout, phase) float32, 1 in the centre.

        Of `bernoulli` they are those of the draws; of `top_k` the scores that noise is added to.
        """
        index = torch.tensor([level], device=self.logits.device)
        found = self._on_grid(torch.sigmoid(self.logits[0 if self.config.is_nested else level])[None])
        if self.config.estimator == "bernoulli":
            found = estimators.rescale(
                found, self._center[index], torch.tensor([self._num_samples[level]], device=found.device)
            )
        return self._squeeze(torch.where(self._center[index], 1.0, found)[0])

    @torch.no_grad()
    def num_center_lines(self, masks: torch.Tensor) -> torch.Tensor:
        """Size of the fully sampled middle of each mask, as `mrikit.masks` counts it.

        Args:
            masks: (batch, 1, 1 or readout, phase), 0 or 1.

        Returns:
            (batch,) int64: columns, or the side of a square of a 2-D pattern.
        """
        return torch.where(masks[:, 0] > 0, self._limit, self._rings).amin((1, 2)).clamp_max(self._limit)

    @torch.no_grad()
    def mask(self, level: int) -> Mask:
        """The learned mask of an acceleration, without noise, with its facts."""
        samples = self._squeeze(self._draw(None, [level], 1.0).steps[-1][0, 0] > 0).cpu().numpy()
        return measured(
            samples,
            kind="learned",
            acceleration=self.accelerations[level],
            num_center_lines=center_size(samples),
            center=center_of(samples) if samples.ndim > 1 else None,
        )

    def _draw(self, rngs: Sequence[np.random.Generator] | None, levels: Sequence[int], progress: float) -> Drawn:
        """Without noise where there are no generators."""
        index = torch.tensor(list(levels), device=self.logits.device)
        probabilities = torch.sigmoid(self.logits[torch.zeros_like(index) if self.config.is_nested else index])
        noise_std, slope = self._schedule(progress)
        scores = torch.zeros(len(index), device=self.logits.device)
        if self.config.keeps_ties:
            return Drawn([self._study_mask(probabilities, rngs, index, noise_std, slope)[:, None]], scores)
        taken = self._center[index]
        mask = taken.to(probabilities.dtype)
        masks = []
        for step in range(1, self.config.num_steps + 1):
            counts = [self._count(level, step) for level in levels]
            if rngs is None:
                found = self._top_k(probabilities, taken, counts, slope)
            elif self.config.estimator == "bernoulli":
                scaled = estimators.rescale(
                    self._on_grid(probabilities), taken, torch.tensor(counts, device=taken.device)
                )
                found = estimators.draw(scaled, self._on_grid(self._numbers(rngs, "uniform")), slope)
            else:
                noise = self._numbers(rngs, "normal")
                found = self._top_k(probabilities + noise_std * noise, taken, counts, slope)
                if self.config.gradient == "score":
                    decides = noise if self.config.kind == "tile" else noise * ~taken
                    scores = scores + estimators.score(probabilities, decides, noise_std)
            mask = torch.where(taken, mask, found)
            taken = mask.detach() > 0
            masks.append(mask[:, None])
        return Drawn(masks, scores)

    def _count(self, level: int, step: int) -> int:
        """Samples after a step."""
        num_center = self._num_center[level]
        return num_center + (self._num_samples[level] - num_center) * step // self.config.num_steps

    def _top_k(self, entries: torch.Tensor, taken: torch.Tensor, counts: Sequence[int], slope: float) -> torch.Tensor:
        scores = ranked = self._on_grid(entries)
        if self._ranks_entries:
            needed = torch.tensor(counts, device=taken.device) - taken.sum((1, 2))
            # All chosen entries rank alike, so that each loses its samples at the rim, as a fixed tile does.
            ranked = self._on_grid(estimators.choose_entries(entries, self._sizes(~taken), needed))
        kept = estimators.keep_largest(ranked, taken, counts, self._order)
        if self.config.gradient == "score":
            return kept
        decided = ranked if self._ranks_entries else kept
        return estimators.straight_through(kept, self._smooth(scores, decided, taken, slope))

    def _sizes(self, is_free: torch.Tensor) -> torch.Tensor:
        """(batch, tile rows, tile columns) int64 repeats of each entry that are free."""
        rows, columns = self.logits.shape[1:]
        below, right = (-size % one for size, one in zip(self._grid, (rows, columns), strict=True))
        padded = torch.nn.functional.pad(is_free.long(), (0, right, 0, below))
        return padded.unflatten(2, (-1, columns)).unflatten(1, (-1, rows)).sum((1, 3))

    def _smooth(self, scores: torch.Tensor, kept: torch.Tensor, taken: torch.Tensor, slope: float) -> torch.Tensor:
        if self.config.gradient == "kept":
            return estimators.kept_gradient(scores, kept, slope)
        return estimators.centred_gradient(scores, kept, taken, slope)

    def _study_mask(
        self,
        probabilities: torch.Tensor,
        rngs: Sequence[np.random.Generator] | None,
        index: torch.Tensor,
        noise_std: float,
        slope: float,
    ) -> torch.Tensor:
        """(batch, 1 or readout, phase) masks with the study's ties and budgets; noise may take its centre away."""
        center = self._entry_center[index]
        scores = torch.where(center, 1.0, probabilities)
        if rngs is not None:
            scores = scores + noise_std * self._numbers(rngs, "normal")
        kept = estimators.keep_ties(scores, self._entry_counts[index], slope)
        mask = self._on_grid(estimators.straight_through(kept, self._smooth(scores, kept, center, slope)))
        is_on_image = self.config.kind == "tile" and not self.config.acs_in_tile
        return torch.where(self._center[index], 1.0, mask) if is_on_image else mask

    def _numbers(self, rngs: Sequence[np.random.Generator], law: str) -> torch.Tensor:
        """(batch, entry rows, entry columns) random numbers, each sample's from its own generator."""
        entries = tuple(self.logits.shape[1:])
        drawn = [
            rng.standard_normal(entries, np.float32) if law == "normal" else rng.random(entries, np.float32)
            for rng in rngs
        ]
        return torch.from_numpy(np.stack(drawn)).to(self.logits.device)

    def _on_grid(self, entries: torch.Tensor) -> torch.Tensor:
        """(batch, entry rows, entry columns) repeated over the grid and cropped."""
        rows, columns = (-(-whole // one) for whole, one in zip(self._grid, entries.shape[1:], strict=True))
        return entries.repeat(1, rows, columns)[:, : self._grid[0], : self._grid[1]]

    def _schedule(self, progress: float) -> tuple[float, float]:
        """Noise and slope of now."""
        config = self.config
        noise_std = config.noise_std + (config.noise_end - config.noise_std) * progress
        return noise_std, config.slope + (config.slope_end - config.slope) * progress

    def _squeeze(self, grid: torch.Tensor) -> torch.Tensor:
        return grid[0] if self.config.kind == "lines" else grid

    def _keep(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)
