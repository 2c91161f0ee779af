"""Work on many things at once on a CPU: one thing on each core, which beats all cores on each thing."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def map_on_cores(work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """`work(item)` of every item, in order, on as many threads as torch has; each of them computes alone.

    What a small operation gains from more threads it loses to waiting for them, above all on a busy machine. Who may
    stop before the last result closes the generator: only that ends its threads.

    Args:
        work: Changes nothing that another call sees.
        items: Taken at once.
    """
    num_threads = torch.get_num_threads()
    has_grad, is_inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def work_in_this_mode(item: T) -> R:
        # Both modes belong to a thread.
        with torch.inference_mode(is_inference), torch.set_grad_enabled(has_grad):
            return work(item)

    try:
        with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work_in_this_mode, items)
    finally:
        # Setting it in a thread also sets what threads that start later get.
        torch.set_num_threads(num_threads)
