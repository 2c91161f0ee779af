"""Prediction of the memory, time and cost of learning a policy: a round is played and timed."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import FullSlices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.acquire.learning.loop import new_learner
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.acquire.replay import Replay
from mrikit.acquire.starts import given_lines
from mrikit.data import BatchShape
from mrikit.volumes import ScanInfo, Volume
from mrikit.words import in_time

_PROCESS_BYTES = 700_000_000  # Python, torch and TorchRL; measured on Linux, torch 2.13
_HELD_BYTES = AcquireConfig().held_bytes
_COMPLEX, _REAL = 8, 4
_GB = 1e9
_LEAST_SHOWN = 0.0005  # GB


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyPrediction:
    """What the learning of a policy needs."""

    memory: Mapping[str, int]
    """Bytes at the peak, by what they are for."""
    num_steps: int
    """Lines chosen while learning."""
    seconds_per_step: float
    """Of one of them, with what is learned from it."""
    hours: float
    """Of learning and validation."""
    cost: float | None
    """In the currency of the price; None without one."""
    device: str
    """Where a round was timed."""

    @property
    def total_bytes(self) -> int:
        """All of the memory."""
        return sum(self.memory.values())


def predict_policy(
    config: PolicyRunConfig,
    training: Sequence[BatchShape],
    validation: Sequence[BatchShape],
    reconstructor: nn.Module | str,
    *,
    device: str,
    price_per_hour: float | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> PolicyPrediction:
    """Play and time a round of learning on noise of the shape of the data.

    Args:
        config: The run.
        training: Shapes of the volumes to learn from.
        validation: Shapes of the volumes to validate on.
        reconstructor: A network like the one of the stage before, whatever its weights; or a classical method's name.
        device: `cpu` or `cuda`, which is here.
        price_per_hour: Of the device.
        say: Called with a line before it takes a while.

    Raises:
        ConfigError: The policy does not fit the data, or needs packages that are not installed.
    """
    say(f"playing a round of {config.name}")
    shape = training[0]
    episodes = _on_noise(config, shape, reconstructor, device)
    # With a full batch from the first round on.
    config = dataclasses.replace(config, policy_config={**config.policy_config, **_at_once(config)})
    learner = new_learner(config, episodes.slices.matrix, torch.device(device))
    saved = _SavedBytes()
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        learner.round(episodes)
    steps, seconds = 0, 0.0
    for _ in range(max(1, min(3, config.episode.budget - 1))):
        began = time.perf_counter()
        steps += learner.round(episodes).num_steps
        seconds += time.perf_counter() - began
    per_step = seconds / steps
    num_validations = -(-config.learning.num_steps // config.learning.validation_steps)
    num_judged = num_validations * sum(one.num_slices for one in validation) * config.episode.budget
    # A validation makes images and decides, and learns nothing; a round bounds it.
    hours = (config.learning.num_steps + num_judged) * per_step / 3600
    return PolicyPrediction(
        memory=_memory(config, (training, validation), learner.network, saved.num_bytes, reconstructor),
        num_steps=config.learning.num_steps,
        seconds_per_step=per_step,
        hours=hours,
        cost=None if price_per_hour is None else hours * price_per_hour,
        device=device,
    )


def describe_policy_prediction(prediction: PolicyPrediction) -> list[str]:
    """Lines for the command line."""
    parts = {name: size / _GB for name, size in prediction.memory.items() if size / _GB >= _LEAST_SHOWN}
    shown = ", ".join(f"{name} {size:.3f}" for name, size in parts.items())
    seconds = in_time(3600 * prediction.hours)
    lines = [
        f"memory: {prediction.total_bytes / _GB:.1f} GB at the peak on {prediction.device} ({shown})",
        f"time: {seconds} for {prediction.num_steps:,} lines and validation; rounds were timed, within a factor of 2",
    ]
    if prediction.cost is not None:
        lines.append(f"cost: {prediction.cost:.2f} in the currency of the price; as uncertain as the time")
    return lines


class _SavedBytes:
    """How much forward keeps for backward, each memory once."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        self._seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def num_bytes(self) -> int:
        return sum(self._seen.values())


def _on_noise(config: PolicyRunConfig, shape: BatchShape, reconstructor: nn.Module | str, device: str) -> Episodes:
    coils, rows, columns = shape.kspace
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 1, coils, rows, columns), np.float32)
    info = ScanInfo(volume_id="noise", matrix=(rows, columns), recon_matrix=shape.window, padding=(0, columns))
    volume = Volume(kspace=(noise[0] + 1j * noise[1]).astype(np.complex64), info=info)
    ready = dataclasses.replace(as_reconstructor(reconstructor, device), matrix=None)
    rules = AcquireConfig(score=config.episode.score, taken="refuse", one_by_one=device == "cpu")
    slices = FullSlices([volume], ready, device)
    given = given_lines(config.episode.num_given, slices.matrix[1])
    return Episodes(slices, ready, given, config.episode.budget, rules, config.learning.num_rows)


def _at_once(config: PolicyRunConfig) -> dict[str, int]:
    """Settings that let it decide and learn from the first round on, if there are such."""
    settings = {"burn_in": 1, "first_exploration": 0}
    return {name: value for name, value in settings.items() if name in config.policy_config}


def _memory(
    config: PolicyRunConfig,
    sides: tuple[Sequence[BatchShape], Sequence[BatchShape]],
    network: nn.Module,
    saved_bytes: int,
    reconstructor: nn.Module | str,
) -> dict[str, int]:
    settings, (coils, rows, columns) = config.policy_config, sides[0][0].kspace
    held = [sum(one.num_slices * _COMPLEX * int(np.prod(one.kspace)) for one in side) for side in sides]
    image = _REAL * rows * columns
    replay_size = int(settings.get("replay_size", 0))
    num_seen = min(config.learning.num_steps, replay_size) * 2
    # Two networks, two moments and gradients.
    weights = 5 * sum(weight.nbytes for weight in network.parameters())
    if isinstance(reconstructor, nn.Module):
        weights += sum(weight.nbytes for weight in reconstructor.parameters())
    return {
        "process": _PROCESS_BYTES,
        "networks": weights,
        "activations": 2 * saved_bytes,
        "replay": Replay(replay_size, columns).size_bytes if replay_size else 0,
        "kept images": int(min(settings.get("cache_mb", 0.0) * 1e6, num_seen * image)),
        "held k-space": sum(min(side, _HELD_BYTES) for side in held),
        "rows": config.learning.num_rows * (_COMPLEX * coils * rows * columns + image),
    }
