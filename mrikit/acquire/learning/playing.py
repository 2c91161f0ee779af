"""Episodes under way: begun in an order of all slices, seen by a policy, saved and restored."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.learner import require_alike
from mrikit.acquire.policies.policy import Observation
from mrikit.models.output import image_of
from mrikit.randomness import generator

_PREFIX = "episodes/"
_KSPACE = f"{_PREFIX}kspace"


def begin_ended(episodes: Episodes, seed: int, num_begun: int) -> list[int]:
    """Begin an episode in every row where none is under way.

    All rows together go through all slices, in a new order each time.

    Args:
        episodes: They change.
        seed: Of the run.
        num_begun: Episodes begun before.

    Returns:
        The rows in which one began.
    """
    rows = np.flatnonzero(episodes.is_over).tolist()
    if rows:
        num_slices = len(episodes.slices)
        rounds = [divmod(num_begun + place, num_slices) for place in range(len(rows))]
        orders = {turn: generator(seed, "slices", turn).permutation(num_slices) for turn, _ in rounds}
        positions = [int(orders[turn][place]) for turn, place in rounds]
        episodes.begin(rows, positions, [episodes.given.num_lines[0]] * len(rows))
    return rows


def observe(episodes: Episodes) -> Observation:
    """What a policy sees of all rows, in the scale of the data as at use; none of them is over."""
    device = episodes.images.device
    return Observation(
        reconstruction=episodes.images[:, None],
        mask=torch.from_numpy(episodes.mask.copy()).to(device),
        is_free=torch.from_numpy(episodes.action_mask).to(device),
        num_decisions=torch.from_numpy(episodes.num_steps.copy()).to(device),
        kspace=episodes.kspace,
    )


def look_at(episodes: Episodes, positions: npt.NDArray[np.integer], mask: npt.NDArray[np.bool_]) -> Observation:
    """What a policy sees of slices with what masks measure of them; no row is changed.

    Args:
        episodes: Which reconstruct.
        positions: (n,) of the slices.
        mask: (n, phase) bool.
    """
    device = episodes.images.device
    measured = torch.from_numpy(mask).to(device)
    output = episodes.outputs_of(positions.tolist(), mask)
    return Observation(
        reconstruction=image_of(output)[:, None],
        mask=measured,
        is_free=torch.from_numpy(episodes.slices.acquired(positions)).to(device) & ~measured,
        num_decisions=measured.sum(-1) - episodes.given.num_lines[0],
        kspace=output.kspace,
    )


def episodes_state(episodes: Episodes) -> dict[str, torch.Tensor]:
    """All that the rows need to go on, by name; copies."""
    arrays = {
        "mask": episodes.mask,
        "unit": episodes.unit,
        "num_steps": episodes.num_steps,
        "is_over": episodes.is_over,
        "positions": episodes.positions,
        **{f"scores/{name}": scores for name, scores in episodes.scores.items()},
    }
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    # Images too: made again in another batch they could differ in the last bit.
    state["images"] = episodes.images.detach().cpu().clone()
    if episodes.kspace is not None:
        state["kspace"] = episodes.kspace.detach().cpu().clone()
    return {_PREFIX + name: value for name, value in state.items()}


def restore_episodes(state: Mapping[str, torch.Tensor], episodes: Episodes) -> None:
    """Let the rows go on from what `episodes_state` gave.

    Raises:
        CheckpointError: Something is missing, or of another shape.
    """
    require_alike(state, {name: value for name, value in episodes_state(episodes).items() if name != _KSPACE})
    own = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    rows = list(range(len(episodes.mask)))
    episodes.begin(rows, own["positions"].tolist(), [episodes.given.num_lines[0]] * len(rows))
    for name in ("mask", "unit", "num_steps", "is_over", "positions"):
        getattr(episodes, name)[:] = own[name].numpy()
    for name, scores in episodes.scores.items():
        scores[:] = own[f"scores/{name}"].numpy()
    episodes.images[:] = own["images"].to(episodes.images.device)
    if episodes.kspace is not None and not episodes.is_over.all():
        require_alike(state, {_KSPACE: episodes.kspace})
        episodes.kspace[:] = own["kspace"].to(episodes.kspace.device)
