"""A policy by name, or one that was trained, as a method that reconstructs folders of volumes."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mrikit.acquire.looking import FullScan
from mrikit.acquire.policies.evaluator import LowestScore
from mrikit.acquire.policies.fixed_order import FixedOrder
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.policies.setting import PolicySetting
from mrikit.acquire.policies.table import POLICIES, build_policy
from mrikit.acquire.policy_model import PolicyModel, PolicyModelConfig
from mrikit.acquire.reconstructors import as_reconstructor, named_method
from mrikit.acquire.trained import TrainedPolicy, load_trained, reconstructor_info, require_reconstructor
from mrikit.checkpoint import Weights, last_stage
from mrikit.config import build_config
from mrikit.data import MaskPlan, cropped_shape
from mrikit.errors import ConfigError, DataError
from mrikit.masks import LEARNED_KIND
from mrikit.reconstruct import Method, ReconstructConfig, Routing
from mrikit.storage import Location
from mrikit.volumes import scan_volumes

_DIGEST_LENGTH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPolicy:
    """A policy that nobody has to train, and what it acquires with."""

    policy: str
    """A key of `mrikit.acquire.policies.table.POLICIES` that does not learn."""
    policy_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its configuration."""
    reconstructor: str
    """The name of a classical method, or weights or the run folder of a network."""
    num_given: int
    """Lines in the middle that are measured before the first decision."""
    budget: int
    """Lines to choose."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"no policy is called {self.policy!r}; there are {', '.join(POLICIES)}")
        if POLICIES[self.policy].learns:
            raise ConfigError(f"policy {self.policy} learns; train it, and give the run with --weights")
        if self.num_given < 1 or self.budget < 1:
            raise ConfigError(f"--given and --budget are at least 1, found {self.num_given} and {self.budget}")
        build_config(POLICIES[self.policy].config, self.policy_config, f"policy {self.policy}")


def named_routing(named: NamedPolicy, data: Location, device: torch.device | str = "cpu") -> Routing:
    """The method of a policy by name, ready for a folder of volumes.

    Args:
        named: The policy.
        data: The volumes; the first says for which size of k-space the policy is made.
        device: Where to compute.

    Raises:
        CheckpointError: The weights of the reconstructor are damaged, or fit no model.
        ConfigError: A setting is wrong, or the budget is larger than the free columns.
        DataError: There are no volumes, or the policy cannot be made of them.
    """
    method = named_method(named.reconstructor, device)
    matrix = _matrix(data, method)
    if named.num_given + named.budget > matrix[1]:
        raise ConfigError(
            f"{named.num_given} lines given and a budget of {named.budget}, but k-space has {matrix[1]} columns; a "
            f"budget of at most {max(matrix[1] - named.num_given, 0)} would do"
        )
    ready = as_reconstructor(method, device)
    setting = PolicySetting(
        matrix=matrix, num_given=named.num_given, budget=named.budget, reconstructor=ready, device=device
    )
    name, settings = named.policy, named.policy_config

    def truly(full: FullScan) -> Policy:
        return build_policy(name, settings, replace(setting, truth=full))

    made = None if POLICIES[name].needs_truth else build_policy(name, settings, setting)
    config = _config(name, _changed(name, settings), named.num_given, named.budget, method, _digest(made))
    model = PolicyModel(config, truly if made is None else lambda _full: made, ready)
    return _routing(replace(method, name=name, model=model, learned={}), config, matrix)


def trained_routing(run: Path, device: torch.device | str = "cpu", reconstructor: str | None = None) -> Routing:
    """The method of a policy that was trained, with its reconstructor.

    Args:
        run: The folder of the run, or the weights of the policy.
        device: Where to compute.
        reconstructor: The run or weights of the reconstructor; those of the stage before the policy's if None.

    Raises:
        CheckpointError: Weights are missing or damaged, or fit no policy or model.
        ConfigError: The reconstructor is not there, or not the one that the policy was learned with.
    """
    trained = load_trained(run, device)
    what = _beside(trained) if reconstructor is None else reconstructor
    require_reconstructor(trained, reconstructor_info(what))
    method, episode = named_method(what, device), trained.episode
    config = _config(trained.name, trained.policy_config, episode.num_given, episode.budget, method)
    policy = trained.policy
    model = PolicyModel(config, lambda _full: policy, as_reconstructor(method, device), trained.matrix)
    weights = Weights(
        model=trained.name,
        model_config=dict(trained.policy_config),
        tensors={},
        sha256=trained.sha256,
        record=_record(trained, method),
        path=trained.path,
    )
    return _routing(
        replace(method, name=trained.name, model=model, weights=weights, learned={}), config, trained.matrix
    )


def _record(trained: TrainedPolicy, reconstructor: Method) -> dict[str, Any]:
    """What decides which volumes are new to a policy and its reconstructor, and how both see them."""
    data, seen = trained.data, (trained.record, reconstructor.record)
    return {
        "task": trained.record.get("task"),
        "anatomy": data.anatomy,
        "trained_on": sorted({volume_id for record in seen for volume_id in record.get("trained_on") or ()}),
        "matrix": list(data.matrix) or None,
        "num_coils": data.num_coils,
        "max_readout": data.max_readout,
    }


def _beside(trained: TrainedPolicy) -> str:
    """The reconstructor of a trained policy: a name, or the folder of the stage before."""
    info = trained.reconstructor
    if not info.sha256:
        return info.name
    stage = last_stage(trained.path.parent.parent)
    if stage is None:
        raise ConfigError(
            f"{trained.path}: {trained.name} was learned with {info.name}, which is not in the folder of its run; name "
            f"it with --reconstructor"
        )
    return str(stage)


def _changed(policy: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the defaults, typed, so that a run is the same however they were written."""
    whole = build_config(POLICIES[policy].config, settings, f"policy {policy}")
    values = {field.name: (getattr(whole, field.name), field.default) for field in dataclasses.fields(whole)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _digest(policy: Policy | None) -> str:
    """First digits of a digest of what a policy took from files, which may hold something else the next time."""
    if isinstance(policy, FixedOrder):
        return hashlib.sha256(json.dumps(policy.order).encode()).hexdigest()[:_DIGEST_LENGTH]
    if isinstance(policy, LowestScore):
        found = hashlib.sha256()
        for name, tensor in policy.evaluator.state_dict().items():
            found.update(name.encode() + tensor.numpy(force=True).tobytes())
        return found.hexdigest()[:_DIGEST_LENGTH]
    return ""


def _config(
    policy: str, settings: Mapping[str, Any], num_given: int, budget: int, reconstructor: Method, digest: str = ""
) -> PolicyModelConfig:
    weights = reconstructor.weights
    return PolicyModelConfig(
        policy=policy,
        policy_config=settings,
        policy_digest=digest,
        num_given=num_given,
        budget=budget,
        reconstructor=reconstructor.name,
        reconstructor_weights=weights.sha256[:_DIGEST_LENGTH] if weights else "",
        num_adjacent=reconstructor.num_adjacent,
    )


def _routing(method: Method, config: PolicyModelConfig, matrix: tuple[int, int]) -> Routing:
    num_lines = config.num_given + config.budget
    plan = MaskPlan(
        kind=LEARNED_KIND,
        acceleration=round(matrix[1] / num_lines, 2),
        center_fraction=config.num_given / matrix[1],
    )
    return Routing(methods=(method,), config=ReconstructConfig(model=method.name, mask=plan))


def _matrix(data: Location, method: Method) -> tuple[int, int]:
    """(readout, phase) of k-space as the method sees that of the first volume."""
    if method.matrix:
        return method.matrix
    files = scan_volumes(data)
    if not files:
        raise DataError(f"{data}: no volumes in it; name a folder of full k-space")
    with_info = files[0].open()
    return cropped_shape(with_info.info, method.max_readout)
