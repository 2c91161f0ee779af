"""Read batches ahead of the computation, in threads."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from mrikit.data.dataset import SliceBatch, SliceDataset
from mrikit.data.sampler import SliceKey


def load_batches(
    dataset: SliceDataset, plan: Sequence[tuple[SliceKey, ...]], num_workers: int
) -> Generator[SliceBatch, None, None]:
    """The batches of a plan, in order.

    The workers are threads, because reading does not hold Python's lock: they start at once, share the memory of the
    process, and so need no fork, no shared memory and no pickling. At most `num_workers` + 1 batches are in memory, the
    one that is taken included.

    Args:
        dataset: Where to read.
        plan: The slices of each batch.
        num_workers: Threads that read; with 0 the caller's thread reads when a batch is asked for.

    Raises:
        DataError: A slice cannot be read; raised when its batch is due.
    """
    if num_workers == 0:
        yield from map(dataset.read, plan)
        return
    pending: deque[Future[SliceBatch]] = deque()
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="mrikit-loader")
    try:
        for keys in plan:
            pending.append(pool.submit(dataset.read, keys))
            if len(pending) > num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
