"""Evaluator: the line that was reconstructed worst, as a network says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.policy import Observation, require_free
from mrikit.checkpoint import build_trained_model, load_weights, read_record, read_tensors
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.models.cvpr19 import Cvpr19
from mrikit.models.cvpr19_evaluator import Evaluator
from mrikit.run_files import PARTS
from mrikit.training.evaluator_config import EvaluatorTraining

Embed = Callable[[torch.Tensor], torch.Tensor]
"""The reconstructor's map of masks, (batch, 1, 1, phase) bool to (batch, num_embedded) float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LowestScore:
    """The free line of the lowest score; of equal ones the first column.

    Source:
        Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
        arXiv:1902.03051.
    """

    evaluator: Evaluator
    """Trained, in evaluation mode."""
    embed: Embed | None = None
    """Of an evaluator that is given numbers of the reconstructor."""
    ignores_image: ClassVar[bool] = False

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn. Of two channels of the reconstruction one is the imaginary part.

        Raises:
            DataError: An episode without a free line, or images that are not of the evaluator's width.
        """
        del generators
        require_free(observation.is_free)
        return self.scores(observation).masked_fill(~observation.is_free, torch.inf).argmin(-1)

    @torch.inference_mode()
    def scores(self, observation: Observation) -> torch.Tensor:
        """(batch, phase) float32, near 1 where a line is as if it were measured."""
        mask = observation.mask
        embedded = None if self.embed is None else self.embed(mask[:, None, None])
        scores: torch.Tensor = self.evaluator(_image(observation.reconstruction), mask, embedded)
        return scores


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorPolicyConfig:
    """Settings of the policy by name."""

    run: str = ""
    """Folder of a run with `objective=evaluator`, whose evaluator and reconstructor belong together."""

    def __post_init__(self) -> None:
        if not self.run:
            raise ConfigError("the policy evaluator needs the folder of a run that trained one; set run=FOLDER")


def load_evaluator(run: Path, width: int, device: torch.device | str = "cpu") -> LowestScore:
    """The evaluator that a run trained beside its reconstructor.

    Args:
        run: Its folder.
        width: Lines of k-space that it is for.
        device: Where it computes.

    Raises:
        CheckpointError: The run trained none, or its files are damaged.
        ConfigError: It is for another number of lines.
    """
    weights = load_weights(run)
    file = weights.path.parent / PARTS / "evaluator.safetensors"
    if not file.exists():
        raise CheckpointError(f"{run}: trained no evaluator; a run with --set objective=evaluator would do")
    training = build_config(EvaluatorTraining, read_record(file).get("evaluator", {}), str(file))
    if training.width != width:
        raise ConfigError(
            f"{run}: an evaluator of {training.width} lines, and k-space has {width}; train one with data of that width"
        )
    reconstructor = build_trained_model(weights).to(device)
    assert isinstance(reconstructor, Cvpr19)  # no other network has an evaluator
    num_embedded = reconstructor.config.num_embedded
    evaluator = Evaluator(training.network(num_embedded)).to(device).eval()
    try:
        evaluator.load_state_dict(read_tensors(file))
    except RuntimeError as error:
        raise CheckpointError(f"{file}: no evaluator of the settings that it names; train it again") from error
    return LowestScore(evaluator=evaluator, embed=reconstructor.embed if num_embedded else None)


def _image(reconstruction: torch.Tensor) -> torch.Tensor:
    """(batch, channel, y, x) float32 to (batch, y, x), complex64 of two channels."""
    if reconstruction.shape[1] == 1:
        return reconstruction[:, 0]
    if reconstruction.shape[1] == 2:
        return torch.complex(reconstruction[:, 0], reconstruction[:, 1])
    found = reconstruction.shape[1]
    raise DataError(f"an evaluator sees magnitudes, or real and imaginary parts; found {found} channels")
