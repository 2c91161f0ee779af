"""Held-out volumes: their facts, and means over them."""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist

from mrikit.data import SliceFacts
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.volumes import Volume
from mrikit.volumes.anatomy import anatomy_of


def mean_over_volumes(
    measure: Callable[[int], Sequence[float]], num_volumes: int, num_scores: int, process: Process, stop: StopRequest
) -> list[float] | None:
    """Scores of all volumes, each process having measured its share of them; all get the means.

    Args:
        measure: Position of a volume to its scores.
        num_volumes: At least 1.
        num_scores: Of each volume.
        process: This one.
        stop: Asked after every volume.

    Returns:
        The mean of each score; None if somebody asked to stop.
    """
    scores = measure_volumes(measure, num_volumes, num_scores, process, stop)
    return None if scores is None else scores.mean(0).tolist()


def measure_volumes(
    measure: Callable[[int], Sequence[float]], num_volumes: int, num_scores: int, process: Process, stop: StopRequest
) -> torch.Tensor | None:
    """(volume, score) float64 of all volumes, which all processes get; arguments as for `mean_over_volumes`."""
    # The last row says whether a process wants to stop.
    scores = torch.zeros(num_volumes + 1, num_scores, dtype=torch.float64, device=process.device)
    for first in range(0, num_volumes, process.world_size):
        position = first + process.rank
        if position < num_volumes:
            scores[position] = torch.tensor(measure(position), dtype=torch.float64)
        scores[-1] = float(bool(stop))
        if process.world_size > 1:
            dist.all_reduce(scores[-1])
        if scores[-1].any():
            return None
    if process.world_size > 1:
        dist.all_reduce(scores)
    return scores[:-1].cpu()


def volume_facts(volume: Volume) -> SliceFacts:
    """What is known of every slice of a volume.

    Raises:
        DataError: Its name and its header contradict each other.
    """
    info = volume.info
    return SliceFacts(volume_id=info.volume_id, slice_index=0, anatomy=anatomy_of(info), acquired=volume.acquired)
