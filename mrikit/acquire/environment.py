"""AcquireEnv: one acquisition at a time, as a gymnasium environment."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.chance import Chance, KeyedChance
from mrikit.acquire.data import Data, FullSlices
from mrikit.acquire.extra import gymnasium
from mrikit.acquire.faces import begin_rows, render_row, require_render_mode, row_info
from mrikit.acquire.rewards import Scores
from mrikit.acquire.setting import AnyReconstructor, make_episodes, observation_space
from mrikit.acquire.starts import Initial

Observation = dict[str, npt.NDArray[np.generic]]


class AcquireEnv(gymnasium.Env[Observation, np.int64]):
    """Measure one line of k-space at each step, and see the image that the lines so far give.

    Actions are columns of k-space, its centre in the middle. The end of the budget is part of the task: the episode is
    terminated, never truncated. `info` has `action_mask`, (phase,) int8, 1 for columns that are worth a step; each
    score under its name; `volume`, a position in `volume_ids`, and `slice`; and `num_lines`, the lines measured.

    Args:
        data: A folder of volumes, a file, volumes, or slices that another environment opened. All have to be fully
            sampled and of one matrix.
        reconstructor: The name of a classical method, weights or the run folder of a network, a method, a model, or a
            function of masked k-space, mask and number of centre lines.
        budget: Lines to choose.
        initial: Lines given: a number of middle ones, the fewest and most of a number that is drawn for each episode,
            or a (phase,) bool mask.
        preset: A published scenario, see `mrikit.acquire.presets.PRESETS`; other arguments go before it.
        chance: Decides which slices come in which order; a new `KeyedChance` if None.
        device: Where images are made.
        render_mode: `rgb_array` or nothing.
        settings: Fields of `mrikit.acquire.config.AcquireConfig`.

    Raises:
        CheckpointError: The weights are damaged, or fit no model.
        ConfigError: A setting is unknown or does not fit the others.
        DataError: The data cannot be read, or do not suit.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - gymnasium's own type

    def __init__(
        self,
        data: Data | FullSlices,
        reconstructor: AnyReconstructor = "zero_filled",
        budget: int | None = None,
        initial: Initial | None = None,
        *,
        preset: str = "",
        chance: Chance | None = None,
        device: torch.device | str = "cpu",
        render_mode: str | None = None,
        **settings: Any,  # noqa: ANN401 - they are checked by name and type
    ) -> None:
        require_render_mode(render_mode)
        self.render_mode = render_mode
        self.episodes = make_episodes(
            data, reconstructor, budget, initial, preset=preset, device=device, num_rows=1, settings=settings
        )
        """What is played; its one row is this environment."""
        self.observation_space = observation_space(self.episodes.slices.matrix)
        self.action_space = gymnasium.spaces.Discrete(self.episodes.slices.matrix[1])
        self._chance = chance or KeyedChance()
        self._is_seeded = chance is not None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode.

        Args:
            seed: Begins the order of episodes anew.
            options: `volume` and `slice` for an episode of these, or of the first slice that fits.

        Raises:
            ConfigError: The budget is larger than the free columns of the slice.
            DataError: There is no such volume or slice, or it cannot be read.
        """
        super().reset(seed=seed)
        if seed is not None or not self._is_seeded:
            self._chance.reseed(0, int(self.np_random.integers(2**31)) if seed is None else seed)
            self._is_seeded = True
        begin_rows(self.episodes, self._chance, [0], options)
        return self._observation(), row_info(self.episodes, 0)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Measure a column.

        Raises:
            DataError: It is no whole number, out of range, or refused; or the episode is over.
        """
        (reward,) = self.episodes.measure(np.ravel(action))
        return self._observation(), float(reward), bool(self.episodes.is_over[0]), False, row_info(self.episodes, 0)

    @property
    def volume_ids(self) -> tuple[str, ...]:
        """Names of the volumes that `info["volume"]` counts."""
        return self.episodes.slices.volume_ids

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(phase,) bool, the columns that are worth a step, as sb3-contrib asks for them."""
        free: npt.NDArray[np.bool_] = self.episodes.action_mask[0]
        return free

    def try_actions(self, actions: npt.NDArray[np.integer]) -> Scores:
        """The scores that the next image would have with each of these columns; nothing is changed.

        Raises:
            DataError: One is no whole number, or out of range.
        """
        return self.episodes.try_columns([0] * len(actions), actions)

    def render(self) -> npt.NDArray[np.uint8] | None:
        """(y, columns, 3) uint8: mask, image and error; nothing without a render mode."""
        return render_row(self.episodes, 0) if self.render_mode else None

    def _observation(self) -> Observation:
        return {name: array[0] for name, array in self.episodes.observation.items()}
