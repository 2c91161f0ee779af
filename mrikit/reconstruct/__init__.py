"""Volumes to reconstructions, by a classical method or by a network with trained weights."""

from mrikit.reconstruct.folder import ReconstructSummary, reconstruct_folder
from mrikit.reconstruct.method import PRECISIONS, Method, ReconstructConfig, build_method
from mrikit.reconstruct.volume import reconstruct_volume

__all__ = [
    "PRECISIONS",
    "Method",
    "ReconstructConfig",
    "ReconstructSummary",
    "build_method",
    "reconstruct_folder",
    "reconstruct_volume",
]
