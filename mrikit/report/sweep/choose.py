"""Best settings of a sweep, by validation alone."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrikit.errors import ConfigError
from mrikit.report.sweep.runs import SEED, TEST_SCORES, SweepRun, setting_keys
from mrikit.report.training import RunScore

TASK = "task"
_COVERED = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedMean:
    """A mean over seeds, and how far other seeds would move it."""

    mean: float
    half_width: float | None
    """Half of the 95 % interval; None for a single seed, or where a value is not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The best settings of one group."""

    group: Mapping[str, str]
    """What its members share: the task, and a value for each key that was asked for; empty where it is not set."""
    score: RunScore
    """What the choice is by."""
    runs: tuple[SweepRun, ...]
    """The members of these settings, one for each seed."""
    validation: SeedMean
    test: Mapping[str, SeedMean]
    """Of the same members, by those of `TEST_SCORES` that all have; nothing was chosen by it."""
    num_settings: int
    """Settings that were compared: those with the most seeds."""
    num_fewer: int
    """Settings that were not, because fewer seeds of them are done."""

    @property
    def settings(self) -> dict[str, str]:
        """What was chosen, without the seed and what the group says."""
        return {key: value for key, value in self.runs[0].settings.items() if key != SEED and key not in self.group}


def seed_mean(values: Sequence[float]) -> SeedMean:
    """The mean of a few values and its 95 % interval by Student's t.

    A bootstrap of five values would be too narrow by a third.
    """
    mean = float(np.mean(values))
    if len(values) < 2 or not math.isfinite(mean):
        return SeedMean(mean=mean, half_width=None)
    quantile = float(stats.t.ppf((1 + _COVERED) / 2, len(values) - 1))
    return SeedMean(mean=mean, half_width=quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values)))


def choose(runs: Iterable[SweepRun], by: Sequence[str] = ()) -> list[Choice]:
    """The best settings of each group: those whose validation score is best in the mean over seeds.

    Test scores take no part. Only members that are done are compared, and only settings of which most seeds are done:
    one lucky seed would beat the mean of five.

    Args:
        runs: All members, in the order of the file.
        by: Settings, or `task`; members that share their values are a group. Tasks are always told apart.

    Returns:
        One for each group of which a member is done, in the order of the file.

    Raises:
        ConfigError: No member has such a setting, or members of a group were validated by different scores.
    """
    runs = list(runs)
    keys = [key for key in dict.fromkeys(by) if key != TASK]
    _require_known(keys, runs)
    groups: dict[tuple[str, ...], list[SweepRun]] = {}
    for run in runs:
        if run.is_done and run.best is not None:
            groups.setdefault((run.task, *(run.settings.get(key, "") for key in keys)), []).append(run)
    return [_best(dict(zip((TASK, *keys), values, strict=True)), members) for values, members in groups.items()]


def _require_known(keys: Sequence[str], runs: Sequence[SweepRun]) -> None:
    known = [TASK, *setting_keys(runs), *([SEED] if any(SEED in run.settings for run in runs) else [])]
    for key in keys:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            what = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(known)}"
            raise ConfigError(f"--by {key}: no setting of this sweep; {what}")


def _best(group: Mapping[str, str], members: Sequence[SweepRun]) -> Choice:
    names = {run.score for run in members}
    if len(names) > 1:
        where = ", ".join(f"{key}={value}" for key, value in group.items())
        words = " and ".join(sorted(score.words for score in names))
        raise ConfigError(
            f"members of {where} were validated by {words}, which do not compare; tell them apart by --by"
        )
    (score,) = names
    settings: dict[tuple[tuple[str, str], ...], list[SweepRun]] = {}
    for run in members:
        settings.setdefault(run.repeated, []).append(run)
    most = max(map(len, settings.values()))
    compared = [found for found in settings.values() if len(found) == most]
    pick = max if score.higher_is_better else min
    chosen = pick(compared, key=lambda found: seed_mean(_validations(found)).mean)
    tested = [name for name in TEST_SCORES if all(name in run.test for run in chosen)]
    return Choice(
        group=group,
        score=score,
        runs=tuple(chosen),
        validation=seed_mean(_validations(chosen)),
        test={name: seed_mean([run.test[name] for run in chosen]) for name in tested},
        num_settings=len(compared),
        num_fewer=len(settings) - len(compared),
    )


def _validations(runs: Iterable[SweepRun]) -> list[float]:
    return [run.best for run in runs if run.best is not None]
