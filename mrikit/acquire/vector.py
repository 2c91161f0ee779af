"""AcquireVectorEnv: many acquisitions at a time, one batched reconstruction a step."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.chance import Chance, KeyedChance
from mrikit.acquire.data import Data, FullSlices
from mrikit.acquire.environment import Observation
from mrikit.acquire.extra import gymnasium
from mrikit.acquire.faces import begin_rows, render_row, require_render_mode, row_info
from mrikit.acquire.rewards import Scores
from mrikit.acquire.setting import AnyReconstructor, make_episodes, observation_space, require_count
from mrikit.acquire.starts import Initial
from mrikit.errors import ConfigError

AutoresetMode = gymnasium.vector.AutoresetMode
Actions = npt.NDArray[np.int64]


class AcquireVectorEnv(gymnasium.vector.VectorEnv[Observation, Actions, npt.NDArray[Any]]):
    """The same as so many `AcquireEnv` one after the other, and faster.

    Row i of seed s is the environment of seed s + i. All is equal to the last bit as far as the reconstructor rounds
    alike in a batch and alone, as those without convolutions do; see `one_by_one` of `AcquireConfig` for the others.

    Args:
        data: As of `AcquireEnv`, like all that is not named here.
        reconstructor: Likewise.
        budget: Likewise.
        initial: Likewise.
        num_envs: Episodes at a time.
        autoreset_mode: `SAME_STEP`: a step that ends an episode returns the first observation of the next one, and the
            last one in `info["final_obs"]` and `info["final_info"]`. `DISABLED`: ended rows wait for
            `reset(options={"reset_mask": ...})`.
        preset: As of `AcquireEnv`.
        chance: Likewise; it decides for all rows.
        device: Likewise.
        render_mode: Likewise.
        settings: Likewise.

    Raises:
        CheckpointError: As of `AcquireEnv`.
        ConfigError: Likewise.
        DataError: Likewise.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - gymnasium's own type

    def __init__(
        self,
        data: Data | FullSlices,
        reconstructor: AnyReconstructor = "zero_filled",
        budget: int | None = None,
        initial: Initial | None = None,
        *,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        preset: str = "",
        chance: Chance | None = None,
        device: torch.device | str = "cpu",
        render_mode: str | None = None,
        **settings: Any,  # noqa: ANN401 - they are checked by name and type
    ) -> None:
        require_render_mode(render_mode)
        require_count("num_envs", num_envs)
        self.render_mode = render_mode
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.episodes = make_episodes(
            data, reconstructor, budget, initial, preset=preset, device=device, num_rows=num_envs, settings=settings
        )
        """What is played, a row for each environment."""
        self.num_envs = num_envs
        self.single_observation_space = observation_space(self.episodes.slices.matrix)
        self.single_action_space = gymnasium.spaces.Discrete(self.episodes.slices.matrix[1])
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self._chance = chance or KeyedChance()
        self._is_seeded = chance is not None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode in every row.

        Args:
            seed: Of the first row, the next ones have the next ones; or a list.
            options: `volume` and `slice`, of all rows or as lists; `reset_mask`, (row,) bool, the rows to begin.

        Raises:
            ConfigError: See `AcquireEnv.reset`; or a seed or mask is not one for each row.
            DataError: See `AcquireEnv.reset`.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ConfigError(f"reset_mask is ({self.num_envs},) bool with one True at least, found {mask!r}")
        rows = np.flatnonzero(mask).tolist()
        for row, own in zip(range(self.num_envs), self._seeds(seed), strict=True):
            if own is not None and row in rows:
                self._chance.reseed(row, own)
        self._is_seeded = True
        begin_rows(self.episodes, self._chance, rows, options)
        infos: dict[str, Any] = {}
        for row in rows:
            infos = self._add_info(infos, row_info(self.episodes, row), row)
        return self.episodes.observation, infos

    def step(
        self, actions: Actions
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Measure a column in every row.

        Raises:
            ConfigError: There is not one action for each row.
            DataError: One is no whole number, out of range, or refused; or an episode is over.
        """
        if np.shape(actions) != (self.num_envs,):
            raise ConfigError(f"a step takes one action for each of {self.num_envs} rows, found {np.shape(actions)}")
        rewards = self.episodes.measure(actions)
        is_over = self.episodes.is_over.copy()
        ended = np.flatnonzero(is_over).tolist()
        observation, infos = self.episodes.observation, dict[str, Any]()
        is_reset = bool(ended) and self.autoreset_mode == AutoresetMode.SAME_STEP
        final = {row: row_info(self.episodes, row) for row in ended}
        if is_reset:
            begin_rows(self.episodes, self._chance, ended)
        for row in range(self.num_envs):
            if is_reset and row in final:
                last = {name: array[row].copy() for name, array in observation.items()}
                infos = self._add_info(infos, {"final_obs": last, "final_info": final[row]}, row)
            infos = self._add_info(infos, row_info(self.episodes, row), row)
        if is_reset:
            observation = self.episodes.observation
        return observation, rewards, is_over, np.zeros(self.num_envs, np.bool_), infos

    @property
    def volume_ids(self) -> tuple[str, ...]:
        """Names of the volumes that `info["volume"]` counts."""
        return self.episodes.slices.volume_ids

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(row, phase) bool, the columns that are worth a step."""
        return self.episodes.action_mask

    def try_actions(self, rows: npt.NDArray[np.integer], actions: npt.NDArray[np.integer]) -> Scores:
        """The scores that rows would have with these columns, one each; nothing is changed.

        Raises:
            DataError: One is no whole number, or out of range.
        """
        return self.episodes.try_columns(np.asarray(rows).tolist(), actions)

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """A picture of each row, see `AcquireEnv.render`."""
        if not self.render_mode:
            return None
        return tuple(render_row(self.episodes, row) for row in range(self.num_envs))

    def _seeds(self, seed: int | list[int | None] | None) -> list[int | None]:
        """Of each row; None where its order goes on."""
        if isinstance(seed, list | tuple):
            if len(seed) != self.num_envs:
                raise ConfigError(f"seed is one number, or one for each of {self.num_envs} rows; found {len(seed)}")
            return list(seed)
        if seed is not None:
            return [seed + row for row in range(self.num_envs)]
        if self._is_seeded:
            return [None] * self.num_envs
        return [int(self.np_random.integers(2**31)) for _ in range(self.num_envs)]


def _mode(mode: "str | AutoresetMode") -> "AutoresetMode":
    known = (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
    for one in known:
        if mode in (one, one.name, one.value):
            return one
    raise ConfigError(f"autoreset_mode is {' or '.join(one.name for one in known)}, found {mode}")
