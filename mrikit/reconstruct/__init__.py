"""Volumes to reconstructions, by a classical method or by networks with trained weights."""

from mrikit.reconstruct.find_weights import find_weights
from mrikit.reconstruct.folder import ReconstructSummary, reconstruct_folder
from mrikit.reconstruct.learned import settled_plan
from mrikit.reconstruct.method import Method, ReconstructConfig, build_method
from mrikit.reconstruct.routing import Routing, build_routing, choose_method, plan_for
from mrikit.reconstruct.shard import Shard, launched_shard, parse_shard
from mrikit.reconstruct.todo import Work
from mrikit.reconstruct.volume import reconstruct_volume

__all__ = [
    "Method",
    "ReconstructConfig",
    "ReconstructSummary",
    "Routing",
    "Shard",
    "Work",
    "build_method",
    "build_routing",
    "choose_method",
    "find_weights",
    "launched_shard",
    "parse_shard",
    "plan_for",
    "reconstruct_folder",
    "reconstruct_volume",
    "settled_plan",
]
