"""Samplers: sampling patterns that are learned together with a network."""

from mrikit.models.samplers.config import SamplerConfig
from mrikit.models.samplers.sampler import Sampler

__all__ = ["Sampler", "SamplerConfig"]
