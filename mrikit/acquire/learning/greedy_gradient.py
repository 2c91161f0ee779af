"""GreedyGradientLearner: the line that gains most at once, learned by comparing drawn ones."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.acquire.learning.learner import Round, require_alike
from mrikit.acquire.learning.playing import begin_ended, observe
from mrikit.acquire.policies.drawing import draw_lines
from mrikit.acquire.policies.greedy_gradient import GreedyGradient, GreedyGradientConfig
from mrikit.acquire.rewards import gain
from mrikit.errors import ConfigError, DataError
from mrikit.randomness import generator

_MOMENTS = ("exp_avg", "exp_avg_sq")
_COUNTS = ("num_begun", "num_rounds", "num_updates")


class GreedyGradientLearner:
    """Draws some lines for each image, tries them all, and makes those likelier that gain more than the others.

    A round is an episode of every row, with a step of Adam after each line. Then each row goes on with one of its drawn
    lines. No later gain counts: the search is greedy.

    Source:
        Bakker et al., Experimental design for MRI by greedy policy search, NeurIPS 2020, arXiv:2010.16262. Lines are
        drawn with replacement, and what they are compared with is the mean of the other draws of the same image (Kool
        et al., Buy 4 REINFORCE samples, get a baseline for free, 2019), so that the gradient is unbiased.

    Args:
        policy: Whose network learns.
        settings: How.
        config: Of the run.

    Raises:
        ConfigError: The reward is the final score alone.
    """

    def __init__(self, policy: GreedyGradient, settings: GreedyGradientConfig, config: PolicyRunConfig) -> None:
        if config.episode.reward != "gain":
            raise ConfigError(
                f"greedy_gradient learns from what each line gains; found episode.reward={config.episode.reward}, gain "
                f"would do"
            )
        self.policy, self.network = policy, policy.network
        self._num_tried, self._seed = settings.num_tried, config.learning.seed
        self._optimizer = torch.optim.Adam(policy.network.parameters(), lr=config.learning.max_lr)
        self._counts = dict.fromkeys(_COUNTS, 0)

    def round(self, episodes: Episodes) -> Round:
        """An episode of every row; see `Learner`."""
        begun = begin_ended(episodes, self._seed, self._counts["num_begun"])
        self._counts["num_begun"] += len(begun)
        rng = generator(self._seed, "greedy_gradient", self._counts["num_rounds"])
        steps = [self._step(episodes, rng) for _ in range(episodes.budget)]
        self._counts["num_rounds"] += 1
        numbers = {name: float(np.mean([step[name] for step in steps])) for name in steps[0]}
        return Round(num_steps=len(begun) * episodes.budget, numbers=numbers)

    def state(self) -> dict[str, torch.Tensor]:
        """See `Learner`; no episode is under way between rounds."""
        state = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        for name, weight in self.network.named_parameters():
            found = self._optimizer.state.get(weight) or {}
            for moment in _MOMENTS:
                value = found.get(moment)
                state[f"{moment}/{name}"] = torch.zeros_like(weight) if value is None else value
        state |= {name: torch.tensor(count) for name, count in self._counts.items()}
        return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See `Learner`."""
        require_alike(state, self.state())
        own = {name.removeprefix("network/"): value for name, value in state.items() if name.startswith("network/")}
        self.network.load_state_dict(own)
        self._counts = {name: int(state[name]) for name in _COUNTS}
        for name, weight in self.network.named_parameters():
            moments = {moment: state[f"{moment}/{name}"].to(weight.device).clone() for moment in _MOMENTS}
            self._optimizer.state[weight] = {"step": torch.tensor(float(self._counts["num_updates"])), **moments}

    def _step(self, episodes: Episodes, rng: np.random.Generator) -> dict[str, float]:
        """Try some lines in every row, learn from their gains, and measure one of them."""
        log_chances = self.policy.log_chances(observe(episodes))
        chances = log_chances.detach().double().exp()
        num_rows = len(chances)
        generators = [rng] * (num_rows * self._num_tried)
        tried = draw_lines(chances.repeat_interleave(self._num_tried, dim=0), generators).view(num_rows, -1)
        columns = tried.numpy(force=True)
        gains = torch.from_numpy(try_gains(episodes, columns)).to(log_chances)
        loss = greedy_loss(log_chances.gather(-1, tried), gains)
        if not bool(loss.isfinite()):
            raise DataError(
                f"the loss of greedy_gradient is {loss.item()}; are the reconstructions finite, and learning.max_lr "
                f"low enough?"
            )
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._counts["num_updates"] += 1
        reward = episodes.measure(columns[range(num_rows), rng.integers(self._num_tried, size=num_rows)])
        entropy = -torch.special.xlogy(chances, chances).sum(-1)
        return {"loss": loss.item(), "reward": float(reward.mean()), "entropy": float(entropy.mean())}


def try_gains(episodes: Episodes, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """By how much each of some lines would better the score of its row; each is tried once.

    Args:
        episodes: Nothing in them is changed.
        columns: (row, tried), a line may come more than once.

    Returns:
        (row, tried).
    """
    rows, width = np.arange(len(columns))[:, None], episodes.mask.shape[1]
    pairs, places = np.unique(rows * width + columns, return_inverse=True)
    name = episodes.config.score
    scores = episodes.try_columns((pairs // width).tolist(), (pairs % width).tolist())[name]
    found: npt.NDArray[np.float64] = gain(name, episodes.scores[name][pairs // width], scores)[places]
    return found.reshape(columns.shape)


def greedy_loss(log_chances: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """What has the gradient of the expected gain, times -1.

    Args:
        log_chances: (row, tried) float32, how likely each line was to be drawn.
        gains: (row, tried) float32, what it gained; at least two for each row.

    Returns:
        A number: the mean of -log p (gain - mean gain of the row's other draws).
    """
    others = (gains.sum(-1, keepdim=True) - gains) / (gains.shape[-1] - 1)
    return -(log_chances * (gains - others).detach()).mean()
