"""Which volumes of the data a run takes: by field strength, protocol, scanner, coils and size."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mrikit.data import scored_window
from mrikit.errors import DataError
from mrikit.training.config import DataConfig
from mrikit.volumes import Volume

FIELD_TOLERANCE_T = 0.2
"""How far a scanner's field may be from the one that is asked for: headers say 2.8936 and 1.494 of 3 T and 1.5 T.

The banding system takes all within 1 T, which is the same of fastMRI's files, but would take a scanner of 0.55 T for
one of 1.5 T."""


class Left(NamedTuple):
    """Volumes that are left out for one reason."""

    names: list[str]
    """At least one."""
    reason: str
    """What they are, to go on after `are`."""


class _Criterion(NamedTuple):
    """One thing that is asked of a volume; one whose file does not say it does not fit."""

    setting: str
    """Its name and value, for messages."""
    reason: str
    fits: Callable[[Volume], bool]
    found: Callable[[Volume], object]


def choose_volumes(volumes: Sequence[Volume], data: DataConfig, where: str) -> tuple[list[Volume], list[Left]]:
    """Those that the configuration asks for, and the others by the first reason against each.

    Args:
        volumes: Fully sampled.
        data: What is asked for.
        where: Where they lie, for messages.

    Raises:
        DataError: None is left.
    """
    fitting, left = list(volumes), list[Left]()
    for criterion in _criteria(data):
        others = [volume for volume in fitting if not criterion.fits(volume)]
        if not others:
            continue
        fitting = [volume for volume in fitting if criterion.fits(volume)]
        if not fitting:
            values = [criterion.found(volume) for volume in others[:3]]
            found = ", ".join(dict.fromkeys("nothing said" if one is None else str(one) for one in values))
            raise DataError(
                f"{where}: {criterion.setting} leaves no volume; found {found}, such as of "
                f"{others[0].info.volume_id}; ask for what is there, or name other data"
            )
        left.append(Left([volume.info.volume_id for volume in others], criterion.reason))
    return fitting, left


def _criteria(data: DataConfig) -> list[_Criterion]:
    """What is asked for, and nothing else."""
    wanted, found = data.field_strength_t, list[_Criterion]()
    if wanted:
        found.append(
            _Criterion(
                f"data.field_strength_t={wanted:g}",
                f"not known to be at {wanted:g} T",
                lambda volume: abs((volume.info.field_strength_t or 0.0) - wanted) <= FIELD_TOLERANCE_T,
                lambda volume: volume.info.field_strength_t,
            )
        )
    if data.acquisitions:
        found.append(_words("acquisitions", data.acquisitions, "protocol", lambda one: one.info.acquisition))
    if data.systems:
        found.append(_words("systems", data.systems, "scanner", lambda one: one.info.system))
    if data.min_coils:
        found.append(_least("min_coils", data.min_coils, "coils", lambda one: one.kspace.shape[1]))
    if data.max_coils:
        found.append(_most("max_coils", data.max_coils, "coils", lambda one: one.kspace.shape[1]))
    if data.min_phase:
        found.append(_least("min_phase", data.min_phase, "phase columns", lambda one: one.kspace.shape[3]))
    if data.max_phase:
        found.append(_most("max_phase", data.max_phase, "phase columns", lambda one: one.kspace.shape[3]))
    if data.square_only:
        found.append(
            _Criterion(
                "data.square_only=true",
                "scored in a window that is not square",
                lambda volume: len(set(scored_window(volume.info))) == 1,
                lambda volume: " x ".join(map(str, scored_window(volume.info))),
            )
        )
    return found


def _words(name: str, wanted: Sequence[str], noun: str, value: Callable[[Volume], str | None]) -> _Criterion:
    """One of some words, in capitals or not."""
    folded = {word.casefold() for word in wanted}
    return _Criterion(
        f"data.{name}={','.join(wanted)}",
        f"not known to be of {noun} {' or '.join(wanted)}",
        lambda volume: (value(volume) or "").casefold() in folded,
        value,
    )


def _least(name: str, limit: int, noun: str, value: Callable[[Volume], int]) -> _Criterion:
    return _Criterion(f"data.{name}={limit}", f"of fewer than {limit} {noun}", lambda one: value(one) >= limit, value)


def _most(name: str, limit: int, noun: str, value: Callable[[Volume], int]) -> _Criterion:
    return _Criterion(f"data.{name}={limit}", f"of more than {limit} {noun}", lambda one: value(one) <= limit, value)
