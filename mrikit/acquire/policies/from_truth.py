"""Oracles by their settings: those that know fully sampled images, at hand or of training volumes."""

from dataclasses import dataclass

import numpy as np
import torch

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import open_slices
from mrikit.acquire.looking import acquired_lines, full_scan
from mrikit.acquire.policies.fixed_order import FixedOrder
from mrikit.acquire.policies.nonadaptive_oracle import greedy_order
from mrikit.acquire.policies.oracle import OneStepOracle
from mrikit.acquire.policies.setting import PolicySetting
from mrikit.acquire.rewards import SCORES
from mrikit.acquire.starts import given_lines
from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OracleConfig:
    """Settings of the one-step oracle."""

    score: str = "ssim"
    """What is best: one of `mrikit.acquire.rewards.SCORES`."""
    num_samples: int = 0
    """How many free lines are tried, drawn for each image; 0 for all."""
    batch_size: int = 16
    """Masks that are reconstructed and scored at once."""

    def __post_init__(self) -> None:
        _require_score("oracle", self.score)
        if self.num_samples < 0:
            raise ConfigError(f"policy oracle needs num_samples of at least 1, or 0 for all; found {self.num_samples}")
        _require_one("oracle", "batch_size", self.batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class NonadaptiveOracleConfig:
    """Settings of the non-adaptive oracle."""

    data: str = ""
    """Folder of the volumes that the order is found on; there has to be one."""
    split: str = "train"
    """Which of them, as `split` of `mrikit.acquire.config.AcquireConfig`."""
    num_images: int = 16
    """Slices, evenly spaced over all; every free line is tried on each of them at each decision."""
    score: str = "ssim"
    """What is best: one of `mrikit.acquire.rewards.SCORES`."""
    batch_size: int = 16
    """Masks that are reconstructed and scored at once."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("policy nonadaptive_oracle needs data=FOLDER of training volumes, found nothing")
        _require_score("nonadaptive_oracle", self.score)
        _require_one("nonadaptive_oracle", "num_images", self.num_images)
        _require_one("nonadaptive_oracle", "batch_size", self.batch_size)


def oracle(config: OracleConfig, setting: PolicySetting) -> OneStepOracle:
    """The oracle of the slices at hand.

    Raises:
        ConfigError: They are not known, or no score is called so.
    """
    if setting.truth is None:
        raise ConfigError("policy oracle needs the fully sampled images, which are not known here")
    return OneStepOracle(
        score=setting.truth.score(config.score), num_samples=config.num_samples or None, batch_size=config.batch_size
    )


def nonadaptive_oracle(config: NonadaptiveOracleConfig, setting: PolicySetting) -> FixedOrder:
    """The order that is best on training slices.

    Raises:
        ConfigError: Nothing makes images, a setting is wrong, or the budget is larger than the free columns.
        DataError: The data cannot be read, or do not suit.
    """
    if setting.reconstructor is None:
        raise ConfigError("policy nonadaptive_oracle needs a reconstructor, which is not known here")
    slices = open_slices(config.data, setting.reconstructor, AcquireConfig(split=config.split), setting.device)
    if slices.matrix[1] != setting.matrix[1]:
        raise ConfigError(
            f"{config.data}: k-space of {slices.matrix[1]} columns, and the volumes to acquire have "
            f"{setting.matrix[1]}; an order needs training volumes of their width"
        )
    places = np.unique(np.linspace(0, len(slices) - 1, config.num_images).round().astype(int))
    full = full_scan([slices.read(place) for place in places.tolist()], setting.reconstructor)
    can_measure = acquired_lines(full.scan).all(0)
    given = given_lines(setting.num_given, slices.matrix[1]).lines(setting.num_given)
    start = torch.from_numpy(given).to(setting.device) & can_measure
    return greedy_order(
        full.score(config.score),
        start,
        can_measure & ~start,
        num_images=len(places),
        budget=setting.budget,
        batch_size=config.batch_size,
    )


def _require_score(policy: str, name: str) -> None:
    if name not in SCORES:
        raise ConfigError(f"policy {policy} scores by {', '.join(SCORES)}, found {name!r}")


def _require_one(policy: str, name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"policy {policy} needs {name} of at least 1, found {value}")
