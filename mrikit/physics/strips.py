"""Work on an image in strips of rows that stay in the cache, on a CPU a strip on each core."""

from collections.abc import Callable

import torch

from mrikit.parallel import map_on_cores


def map_strips(
    work: Callable[[slice], torch.Tensor], num_rows: int, strip_rows: int, device: torch.device
) -> list[torch.Tensor]:
    """`work(rows)` of every strip of rows, in order.

    Args:
        work: Takes the rows of a strip and changes nothing.
        num_rows: Rows of the image.
        strip_rows: Rows of a strip; the last may have fewer.
        device: Where the tensors lie.
    """
    strips = [slice(row, min(row + strip_rows, num_rows)) for row in range(0, num_rows, strip_rows)]
    if device.type != "cpu" or min(torch.get_num_threads(), len(strips)) == 1:
        return [work(rows) for rows in strips]
    return list(map_on_cores(work, strips))
