"""Weights of a policy, with what they were learned for."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mrikit.acquire.learning.config import EpisodeConfig, PolicyRunConfig
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.checkpoint import last_stage, load_weights, read_record, read_tensors, write_tensors
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import CLASSICAL
from mrikit.run_files import WEIGHTS_FILE
from mrikit.training import DataConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructorInfo:
    """Which reconstructor a policy learned with."""

    name: str
    """Of the model."""
    sha256: str = ""
    """Digest of its weights; empty of a classical method."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedPolicy:
    """A policy that was learned, and what it is for."""

    name: str
    """A key of `mrikit.acquire.policies.table.POLICIES`."""
    policy: Policy
    """On its device, without exploration."""
    policy_config: Mapping[str, Any]
    """All its settings."""
    matrix: tuple[int, int]
    """(readout, phase) of k-space that it chooses lines of."""
    episode: EpisodeConfig
    """What it was learned on."""
    reconstructor: ReconstructorInfo
    """Which made its images."""
    data: DataConfig
    """Of its training: anatomy, matrix, coils."""
    path: Path
    """The file of weights."""
    sha256: str
    """Digest of the file."""
    record: Mapping[str, Any]
    """Everything that the file says of itself."""


def save_trained(
    path: Path,
    config: PolicyRunConfig,
    network: nn.Module,
    matrix: tuple[int, int],
    reconstructor: ReconstructorInfo,
    record: Mapping[str, Any],
) -> str:
    """Write the weights of a policy.

    Args:
        path: The file to write, `.safetensors`.
        config: Of the run that learned it.
        network: Of the policy.
        matrix: (readout, phase) of k-space.
        reconstructor: Which made the images.
        record: What else is known: steps, scores, `trained_on`; any JSON.

    Returns:
        The sha256 of the file's content.

    Raises:
        StorageError: The path cannot be written or the disk is full.
    """
    facts = policy_facts(config, matrix, reconstructor)
    return write_tensors(path, network.state_dict(), {**facts, **record})


def policy_facts(config: PolicyRunConfig, matrix: tuple[int, int], reconstructor: ReconstructorInfo) -> dict[str, Any]:
    """What weights and checkpoints of a policy say of its run, JSON."""
    return {
        "task": config.task,
        "stage": config.stage,
        "size": config.size,
        "policy": config.policy,
        "policy_config": dict(config.policy_config),
        "matrix": list(matrix),
        "episode": asdict(config.episode),
        "reconstructor": asdict(reconstructor),
        "data": asdict(config.data),
    }


def load_trained(path: Path, device: torch.device | str = "cpu") -> TrainedPolicy:
    """A policy of a weights file, of the best of a stage's folder, or of the last stage of a run that learned one.

    Args:
        path: A file, or the folder of a run or of one of its stages.
        device: Where it decides.

    Raises:
        CheckpointError: There are no weights of a policy, or they are damaged or of another version.
    """
    file = _policy_file(path)
    record = read_record(file)
    if "policy" not in record:
        of = f"the network {record['model']}" if record.get("model") else "something else"
        raise CheckpointError(
            f"{file}: weights of {of}, not of a policy; `mrikit train --task knee_acquire` learns one"
        )
    try:
        episode = build_config(EpisodeConfig, record["episode"], "episode")
        matrix = (int(record["matrix"][0]), int(record["matrix"][1]))
        setting = PolicySetting(matrix=matrix, num_given=episode.num_given, budget=episode.budget)
        policy = build_policy(record["policy"], record["policy_config"], setting)
        data = build_config(DataConfig, record["data"], "data")
        reconstructor = build_config(ReconstructorInfo, record["reconstructor"], "reconstructor")
    except (ConfigError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: weights of a policy that is not known here: {error}") from error
    network: nn.Module = getattr(policy, "network")  # noqa: B009 - of policies that learn
    _load(network, read_tensors(file), file)
    network.to(device).eval()
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return TrainedPolicy(
        name=record["policy"],
        policy=policy,
        policy_config=record["policy_config"],
        matrix=matrix,
        episode=episode,
        reconstructor=reconstructor,
        data=data,
        path=file,
        sha256=sha256,
        record=record,
    )


def reconstructor_info(what: str | Path) -> ReconstructorInfo:
    """Which reconstructor a name or path means, as `mrikit.acquire.reconstructors.as_reconstructor` takes it.

    Raises:
        CheckpointError: The weights are missing or damaged.
    """
    if str(what) in CLASSICAL:
        return ReconstructorInfo(name=str(what))
    weights = load_weights(Path(what))
    return ReconstructorInfo(name=weights.model, sha256=weights.sha256)


def require_reconstructor(trained: TrainedPolicy, used: ReconstructorInfo) -> None:
    """Refuse to use a policy with another reconstructor than it was learned with.

    Args:
        trained: The policy.
        used: What is to make its images, see `reconstructor_info`.

    Raises:
        ConfigError: It is another one.
    """
    wanted = trained.reconstructor
    if wanted != used:
        raise ConfigError(
            f"{trained.path}: {trained.name} was learned with {_words(wanted)}, not with {_words(used)}; name that "
            f"one, or learn a policy for this one"
        )


def _words(info: ReconstructorInfo) -> str:
    return f"{info.name} of digest {info.sha256[:12]}" if info.sha256 else info.name


def _policy_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / WEIGHTS_FILE).exists():
        return path / WEIGHTS_FILE
    stage = last_stage(path, of="policy")
    if stage is None:
        raise CheckpointError(
            f"{path}: holds no weights of a policy; they are there after the first validation of "
            f"`mrikit train --task knee_acquire`"
        )
    return stage / WEIGHTS_FILE


def _load(network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    found = {name: value.shape for name, value in tensors.items()}
    odd = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
    if odd:
        raise CheckpointError(f"{file}: weights for another network than the file says, such as {odd[0]}")
    broken = [name for name, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(f"{file}: {broken[0]} holds NaN or infinity; take weights from before that")
    network.load_state_dict(dict(tensors))
