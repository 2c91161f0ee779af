"""Routing: which of several trained networks suits a volume, by what it shows and how it is undersampled."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mrikit import __version__
from mrikit.checkpoint import Weights, load_weights, read_record
from mrikit.data import MaskPlan, choose_mask, make_example
from mrikit.errors import ConfigError, DataError
from mrikit.models import CLASSIFIERS, JUDGES
from mrikit.models.anatomy_classifier import UNKNOWN_BELOW, guess_anatomy
from mrikit.reconstruct.find_weights import find_weights
from mrikit.reconstruct.learned import settled_plan
from mrikit.reconstruct.method import AUTO, Method, ReconstructConfig, build_method, describe_method, trained_method
from mrikit.storage import shown
from mrikit.volumes import Volume
from mrikit.volumes.anatomy import anatomy_of

TOLERANCE = 1.5
"""Weights suit an acceleration that differs from theirs by at most this factor."""
_NUM_CLASSIFIED = 8  # slices that the classifier sees, evenly spaced


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """The models of a run, each in memory once, and how volumes are shared out among them."""

    methods: tuple[Method, ...]
    """At least one; without a task exactly one, for all volumes."""
    config: ReconstructConfig
    """What they were built from."""
    classifier: Method | None = None
    """Tells what a volume shows that does not say so itself."""
    rest: Method | None = None
    """For volumes that no weights suit; without it they are refused."""

    @property
    def name(self) -> str:
        """For messages."""
        if self.config.task != AUTO:
            return self.methods[0].name
        rest = f", {self.rest.name} for others" if self.rest else ""
        return f"{', '.join(sorted({method.name for method in self.methods}))} ({len(self.methods)} weights){rest}"

    @property
    def trained_on(self) -> frozenset[str]:
        """Volumes that a network was trained on."""
        return frozenset(volume_id for method in self.methods for volume_id in method.record.get("trained_on") or ())


def build_routing(config: ReconstructConfig, device: torch.device | str = "cpu") -> Routing:
    """The models that a configuration names, on the device.

    Raises:
        CheckpointError: Weights are missing or damaged, or fit no model.
        ConfigError: See `mrikit.reconstruct.method.build_method`; or there are no weights of the task, or several that
            suit the same volumes, or those of the task have no learned mask that is asked for.
    """
    if config.task is None:
        return _of_one(build_method(config, device), config)
    files = find_weights(config.paths)
    records = {file: read_record(file) for file in files}
    networks = [file for file in files if records[file].get("model") not in CLASSIFIERS | JUDGES]
    if not networks:
        verb = "tells" if len(config.paths) == 1 else "tell"
        what = "anatomies" if all(records[file].get("model") in CLASSIFIERS for file in files) else "images"
        raise ConfigError(
            f"{_names(config.paths)} only {verb} {what} apart; add the weights of a network that makes images"
        )
    if config.task != AUTO:
        return _of_one(trained_method(load_weights(_of_task(networks, records, config.task)), config, device), config)
    classifiers = [load_weights(file) for file in files if records[file].get("model") in CLASSIFIERS]
    if len(classifiers) > 1:
        first, second, *_ = classifiers
        raise ConfigError(f"{first.path} and {second.path} both tell anatomies apart; leave one out")
    methods = [trained_method(weights, config, device) for weights in _with_masks(networks)]
    if not methods:
        raise ConfigError(f"no weights for --task auto in {_names(config.paths)}; those of a training run would do")
    for method in methods:
        for acceleration in method.accelerations:
            nearest = _closest(methods, method.anatomy, acceleration)
            if len(nearest) > 1:
                raise ConfigError(_tie(nearest, method.anatomy, acceleration))
    classifier = trained_method(classifiers[0], config, device) if classifiers else None
    return Routing(methods=tuple(methods), config=config, classifier=classifier, rest=_rest(config, device))


def choose_method(routing: Routing, volume: Volume, device: torch.device | str = "cpu") -> Method:
    """The model that suits a volume.

    What it shows is taken from its header or name, where these are silent from the classifier; how it is undersampled
    from its own mask, or from the plan that it will be undersampled by.

    Raises:
        DataError: None does, or two do equally well, or its name and its header contradict each other.
    """
    if routing.config.task is None:
        return routing.methods[0]
    volume_id, anatomy = volume.info.volume_id, anatomy_of(volume.info)
    if routing.config.task != AUTO:
        (method,) = routing.methods
        if anatomy and method.anatomy and anatomy != method.anatomy:
            raise DataError(
                f"{volume_id}: shows a {anatomy}, and the weights of {method.task} are for the {method.anatomy}; leave "
                f"it out, or give --task auto"
            )
        return method
    acceleration = _acceleration(volume, routing.config.mask)
    doubt = ""
    if anatomy is None and any(method.anatomy for method in routing.methods):
        anatomy, doubt = _classify(routing, volume, device)
    nearest = _closest(routing.methods, anatomy or "", acceleration)
    if not nearest and routing.rest:
        return routing.rest
    if not nearest:
        how = f"undersampled {acceleration:.3g}x" if acceleration > 1 else "fully sampled (give --acceleration)"
        what = f"it shows {anatomy}, {how}" if anatomy else f"it is {how}{doubt}"
        raise DataError(f"{volume_id}: no weights for it; {what}; there are weights for {_list(routing.methods)}")
    if len(nearest) > 1:
        raise DataError(f"{volume_id}: {_tie(nearest, anatomy or '', acceleration)}")
    return nearest[0]


def plan_for(routing: Routing, method: Method, volume: Volume) -> MaskPlan | None:
    """How a volume is undersampled for the model that suits it.

    Raises:
        DataError: Its weights did not learn the mask that is asked for.
    """
    config = routing.config
    if config.task != AUTO or config.mask is None:
        return config.mask
    try:
        return settled_plan(method, config.mask, is_usual_kind=config.is_usual_kind)
    except ConfigError as error:
        raise DataError(f"{volume.info.volume_id}: {error}") from error


def describe_routing(routing: Routing) -> dict[str, Any]:
    """The resolved configuration of a run as JSON, with the digests of all weights."""
    config = routing.config
    if config.task is None:
        return describe_method(routing.methods[0], config.mask)
    methods = [*routing.methods, *([routing.classifier] if routing.classifier else [])]
    rest = [routing.rest] if routing.rest else []
    by_digest = {method.weights.sha256: method for method in methods if method.weights}
    return {
        "version": __version__,
        "model": ", ".join(sorted({method.name for method in (*routing.methods, *rest)})),
        "mask": config.mask.facts if config.mask else None,
        "flips": config.flips,
        "transposed": config.transposed,
        "dither": config.dither,
        "task": config.task,
        "weights": {
            digest: shown(method.weights.path.resolve()) for digest, method in by_digest.items() if method.weights
        },
        "weights_sha256": sorted(by_digest),
        "precision": config.precision,
    }


def _of_one(method: Method, config: ReconstructConfig) -> Routing:
    """One model for all volumes, which are undersampled as it has learned unless something else is asked for."""
    plan = settled_plan(method, config.mask, is_usual_kind=config.is_usual_kind)
    return Routing(methods=(method,), config=replace(config, mask=plan))


def _acceleration(volume: Volume, plan: MaskPlan | None) -> float:
    if plan is not None and plan.is_learned and volume.is_fully_sampled:
        return plan.acceleration
    return choose_mask(volume, plan).acceleration


def _rest(config: ReconstructConfig, device: torch.device | str) -> Method | None:
    """The classical method for volumes that no weights suit, if one is named."""
    if config.model is None:
        return None
    plain = replace(config, weights=None, task=None, precision="fp32")
    return build_method(plain, device)


def _of_task(networks: list[Path], records: dict[Path, dict[str, Any]], task: str) -> Path:
    """The weights file that was trained for a task."""
    found = [file for file in networks if records[file].get("task") == task]
    if not found:
        known = sorted({str(records[file].get("task")) for file in networks} - {"None"})
        raise ConfigError(f"no weights of the task {task!r}; there are {', '.join(known) or 'none that say theirs'}")
    if len(found) > 1:
        raise ConfigError(f"{found[0]} and {found[1]} are both weights of {task}; leave one out")
    return found[0]


def _with_masks(networks: list[Path]) -> list[Weights]:
    """Those that say for which acceleration they are."""
    weights = [load_weights(file) for file in networks]
    silent = [one.path for one in weights if not one.record.get("masks")]
    if silent:
        warnings.warn(
            f"{len(silent)} weights do not say for which acceleration they are and are left out: {_names(silent)}",
            stacklevel=3,
        )
    return [one for one in weights if one.path not in silent]


def _closest(methods: Sequence[Method], anatomy: str, acceleration: float) -> list[Method]:
    """The networks for an anatomy, else those for any, whose acceleration is nearest; several if they are equally near.

    None is further away than the tolerance.
    """
    ranked = sorted(
        (not method.anatomy, distance, position)
        for position, method in enumerate(methods)
        if method.anatomy in ("", anatomy) and (distance := _distance(method, acceleration)) <= math.log(TOLERANCE)
    )
    return [methods[position] for *rank, position in ranked if rank == list(ranked[0][:2])]


def _tie(methods: Sequence[Method], anatomy: str, acceleration: float) -> str:
    first, second = (method.weights.path for method in methods[:2] if method.weights)
    what = f"a {anatomy}" if anatomy else "any anatomy"
    return f"{first} and {second} are both for {what} at {acceleration:.3g}x; leave one out, or name a task"


def _distance(method: Method, acceleration: float) -> float:
    """Between the acceleration of a volume and the nearest one of those trained with, on a logarithmic scale."""
    # Rounded, so that of two equally near ones neither wins by the last bit.
    return min((round(abs(math.log(acceleration / own)), 9) for own in method.accelerations), default=math.inf)


@torch.inference_mode()
def _classify(routing: Routing, volume: Volume, device: torch.device | str) -> tuple[str | None, str]:
    """What the classifier says that a volume shows; None and why in words if there is none or it is not sure."""
    unknown = ", and its anatomy is unknown"
    if routing.classifier is None:
        return None, f"{unknown}; give the weights of a classifier too (mrikit train --task anatomy)"
    num_slices = len(volume.kspace)
    count = min(num_slices, _NUM_CLASSIFIED)
    plan = routing.config.mask
    # Which weights have learned the mask is not known yet.
    mask = choose_mask(volume, None if plan is not None and plan.is_learned else plan)
    logits = []
    for position in range(count):
        index = (2 * position + 1) * num_slices // (2 * count)
        example = make_example(volume, (index,), mask, device, has_reference=False)
        logits.append(routing.classifier.model(example.masked_kspace, example.mask, example.num_center_lines))
    found = guess_anatomy(torch.cat(logits))
    if found.is_known:
        return found.anatomy, ""
    return None, (
        f"{unknown}: the classifier is not sure ({found.anatomy} with {found.confidence:.2f}, needed {UNKNOWN_BELOW:g})"
    )


def _list(methods: Sequence[Method]) -> str:
    """What the networks are for, in words."""
    kinds = [
        f"{method.anatomy or 'any anatomy'} at {' and '.join(f'{own:g}x' for own in method.accelerations)}"
        for method in methods
    ]
    return ", ".join(dict.fromkeys(kinds))


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
