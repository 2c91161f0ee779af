"""Work on an image in strips of rows: on a CPU a strip on each core, which beats all cores on each strip."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


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
    num_threads = torch.get_num_threads()
    if device.type != "cpu" or min(num_threads, len(strips)) == 1:
        return [work(rows) for rows in strips]
    has_grad, is_inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def work_in_this_mode(rows: slice) -> torch.Tensor:
        # Both modes belong to a thread.
        with torch.inference_mode(is_inference), torch.set_grad_enabled(has_grad):
            return work(rows)

    try:
        with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work_in_this_mode, strips))
    finally:
        torch.set_num_threads(num_threads)
