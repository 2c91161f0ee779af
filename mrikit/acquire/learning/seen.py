"""What a policy saw at past decisions, made again where it is not kept."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.playing import look_at, observe
from mrikit.acquire.policies.policy import Observation


class ReplayedViews:
    """The last views of episodes, by slice and mask, and others on demand.

    A view is the same whether it was kept or is made again, if the reconstructor gives the same bits in any batch; see
    `AcquireConfig.one_by_one`.

    Args:
        seen: What of an observation is looked at, (batch, ...).
        room_bytes: Memory for the views that are kept.
    """

    def __init__(self, seen: Callable[[Observation], torch.Tensor], room_bytes: float) -> None:
        self._seen = seen
        self._kept: OrderedDict[bytes, torch.Tensor] = OrderedDict()
        self._room = room_bytes
        self.num_made = 0
        """Views that were made again."""

    def keep(self, episodes: Episodes) -> None:
        """Keep what is seen of all rows now, and forget the oldest where there is no room."""
        views = self._seen(observe(episodes))
        if views[0].nbytes > self._room:
            return
        for key, view in zip(_keys(episodes.positions, episodes.mask), views, strict=True):
            if key not in self._kept:
                self._kept[key] = view.clone()
        while len(self._kept) * views[0].nbytes > self._room:
            self._kept.popitem(last=False)

    def of(self, positions: npt.NDArray[np.integer], mask: npt.NDArray[np.bool_], episodes: Episodes) -> torch.Tensor:
        """What is seen of slices with what masks measure of them, (n, ...).

        Args:
            positions: (n,) of the slices.
            mask: (n, phase) bool.
            episodes: Which make what is not kept, all in one batch.
        """
        keys = _keys(positions, mask)
        missing = {key: place for place, key in enumerate(keys) if key not in self._kept}
        made: dict[bytes, torch.Tensor] = {}
        if missing:
            places = list(missing.values())
            made = dict(zip(missing, self._seen(look_at(episodes, positions[places], mask[places])), strict=True))
            self.num_made += len(made)
        return torch.stack([made[key] if key in made else self._kept[key] for key in keys])


def _keys(positions: npt.NDArray[np.integer], mask: npt.NDArray[np.bool_]) -> list[bytes]:
    packed = np.packbits(mask, axis=-1)
    rows = zip(positions.tolist(), packed, strict=True)
    return [int(position).to_bytes(4, "little") + row.tobytes() for position, row in rows]
