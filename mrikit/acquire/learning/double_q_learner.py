"""DoubleQLearner: double Q-learning with replay, as SS-DDQN and DS-DDQN learn."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.acquire.learning.double_q_config import DoubleQConfig
from mrikit.acquire.learning.double_q_loss import DoubleQ, SeenTransitions
from mrikit.acquire.learning.exploration import exploration
from mrikit.acquire.learning.learner import Round, require_alike
from mrikit.acquire.learning.playing import begin_ended, observe
from mrikit.acquire.learning.seen import ReplayedViews
from mrikit.acquire.policies.policy import Observation, Policy
from mrikit.acquire.replay import Replay, Transitions
from mrikit.errors import CheckpointError, DataError
from mrikit.randomness import generator

_COUNTS = ("num_begun", "num_steps", "num_rounds", "num_updates")
_REPLAY = "replay/"


class ValuePolicy(Policy, Protocol):
    """A policy that takes the line of the highest value."""

    @property
    def network(self) -> nn.Module:
        """`network(seen, mask)` is the values of all lines, (batch, phase) float32."""
        ...

    def seen(self, observation: Observation) -> torch.Tensor:
        """What its network looks at, (batch, ...)."""
        ...


class DoubleQLearner:
    """Plays with a random line now and then, keeps what came of it, and learns from draws of that.

    Args:
        policy: Whose network learns.
        settings: How.
        config: Of the run.
        width: Lines of k-space.
    """

    def __init__(self, policy: ValuePolicy, settings: DoubleQConfig, config: PolicyRunConfig, width: int) -> None:
        self.policy: Policy = policy
        self.network = policy.network
        self._settings, self._seed = settings, config.learning.seed
        self._learning = DoubleQ(
            policy.network,
            discount=settings.discount,
            rate=config.learning.max_lr,
            target_steps=settings.target_steps,
            largest_gradient=settings.largest_gradient,
        )
        self._replay = Replay(settings.replay_size, width)
        self._views = ReplayedViews(policy.seen, settings.cache_mb * 1e6)
        self._counts = dict.fromkeys(_COUNTS, 0)

    def round(self, episodes: Episodes) -> Round:
        """A line in every row, and some updates; see `Learner`."""
        begun = begin_ended(episodes, self._seed, self._counts["num_begun"])
        self._counts["num_begun"] += len(begun)
        if begun:
            self._views.keep(episodes)
        chance = self._exploration()
        reward = self._play(episodes, self._choose(episodes, chance))
        self._views.keep(episodes)
        self._counts["num_steps"] += len(reward)
        self._counts["num_rounds"] += 1
        numbers = {"reward": float(reward.mean()), "exploration": chance, **self._learn(episodes)}
        return Round(num_steps=len(reward), numbers=numbers)

    def state(self) -> dict[str, torch.Tensor]:
        """See `Learner`."""
        replay = {_REPLAY + name: torch.from_numpy(value) for name, value in self._replay.state().items()}
        return {**self._learning.state(), **replay, **self._numbers()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See `Learner`."""
        require_alike(state, self._numbers())
        self._learning.restore(state)
        replay = {name.removeprefix(_REPLAY): value for name, value in state.items() if name.startswith(_REPLAY)}
        try:
            self._replay.restore({name: value.numpy() for name, value in replay.items()})
        except DataError as error:
            raise CheckpointError(str(error)) from error
        self._counts = {name: int(state[name]) for name in _COUNTS}

    def _numbers(self) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(value) for name, value in self._counts.items()}

    def _exploration(self) -> float:
        settings = self._settings
        return exploration(
            self._counts["num_steps"],
            decay_steps=settings.decay_steps,
            first=settings.first_exploration,
            last=settings.last_exploration,
        )

    def _choose(self, episodes: Episodes, chance: float) -> npt.NDArray[np.int64]:
        """(row,) free lines, each by itself random or the best."""
        rng = generator(self._seed, "exploration", self._counts["num_rounds"])
        is_random = rng.random(len(episodes.mask)) < chance
        lines: npt.NDArray[np.int64] = np.where(episodes.action_mask, rng.random(episodes.mask.shape), -1).argmax(-1)
        if is_random.all():
            return lines
        best = self.policy.choose(observe(episodes), []).numpy(force=True)
        return np.where(is_random, lines, best)

    def _play(self, episodes: Episodes, lines: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Measure them, and remember what came of it; (row,) rewards."""
        volumes, slices = np.array([episodes.slices.keys[position] for position in episodes.positions], np.int32).T
        mask, num_decisions = episodes.mask.copy(), episodes.num_steps.astype(np.int32)
        reward = episodes.measure(lines).astype(np.float32)
        self._replay.add(
            Transitions(
                volume_index=volumes,
                slice_index=slices,
                mask=mask,
                line=lines.astype(np.int32),
                num_decisions=num_decisions,
                reward=reward,
                is_done=episodes.is_over.copy(),
            )
        )
        return reward

    def _learn(self, episodes: Episodes) -> dict[str, float]:
        """The updates of a round; means of how they went."""
        if len(self._replay) < self._settings.burn_in:
            return {}
        done = []
        for _ in range(self._settings.num_updates):
            rng = generator(self._seed, "replay", self._counts["num_updates"])
            batch = self._look(self._replay.sample(self._settings.batch_size, rng), episodes)
            done.append(self._learning.update(batch))
            self._counts["num_updates"] += 1
        if not np.isfinite([update.loss for update in done]).all():
            raise DataError(
                f"the loss is not finite after {self._counts['num_updates']} updates; start anew with another --out "
                f"and a lower learning.max_lr"
            )
        return {
            "loss": float(np.mean([update.loss for update in done])),
            "grad_norm": float(np.mean([update.gradient_norm for update in done])),
        }

    def _look(self, drawn: Transitions, episodes: Episodes) -> SeenTransitions:
        """Transitions with what the network sees before and after them, made in one batch."""
        device = episodes.images.device
        positions = episodes.slices.positions_of(drawn.volume_index, drawn.slice_index)
        before, after = drawn.mask, drawn.next_mask
        seen = self._views.of(np.concatenate([positions, positions]), np.concatenate([before, after]), episodes)
        seen_before, seen_after = seen.chunk(2)

        def on_device(array: npt.NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        return SeenTransitions(
            image=seen_before,
            mask=on_device(before),
            line=on_device(drawn.line.astype(np.int64)),
            reward=on_device(drawn.reward),
            next_image=seen_after,
            next_mask=on_device(after),
            next_free=on_device(episodes.slices.acquired(positions) & ~after),
            is_done=on_device(drawn.is_done),
        )
