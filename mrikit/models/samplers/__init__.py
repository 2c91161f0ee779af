"""Samplers: sampling patterns that are learned together with a network."""

from mrikit.models.samplers.config import SamplerConfig
from mrikit.models.samplers.estimators import score_loss
from mrikit.models.samplers.sampler import Drawn, Sampler

__all__ = ["Drawn", "Sampler", "SamplerConfig", "score_loss"]
