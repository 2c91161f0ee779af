"""A replay of 20,000 transitions of 640 x 368: places and packed masks against stored images.

The peer lays transitions out as the published buffer does: two observations of float32, each of two channels with two
rows of mask below the image. It is filled with `--num-stored` transitions, and its memory counted up from these. A
batch is 16 transitions with both their images. Ours are made again, zero-filled, from k-space that is held anyway: that
is the price of the memory.

python benchmarks/replay.py [--num-stored 64] [--num-times 5]
"""

import argparse
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from setting import make_scan, print_setting, print_table, take_turns

from mrikit.acquire.replay import Replay, Transitions
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep
from mrikit.randomness import generator

T = TypeVar("T")
CAPACITY, NUM_ROWS, NUM_COLUMNS, BATCH, NUM_SLICES = 20_000, 640, 368, 16, 8


def main() -> None:
    """Print one table of seconds a batch, with the memory of each buffer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-stored", type=int, default=64)
    parser.add_argument("--num-times", type=int, default=5)
    arguments = parser.parse_args()
    print_setting()
    kspace = make_scan(NUM_SLICES, NUM_ROWS, NUM_COLUMNS).kspace[:, None]
    rng = generator(0, "replay")
    replay, replay_bytes = measured(lambda: filled_replay(rng))
    stored, stored_bytes = measured(lambda: np.ones((arguments.num_stored, 2, 2, NUM_ROWS + 2, NUM_COLUMNS), "f4"))

    def run_mrikit() -> None:
        drawn = replay.sample(BATCH, rng)
        masks = np.concatenate([drawn.mask, drawn.next_mask])
        slices = kspace[np.tile(drawn.slice_index, 2)]
        rss(ifft2c(keep(slices, torch.from_numpy(masks)[:, None, None])))

    def run_published() -> None:
        torch.from_numpy(stored[rng.integers(0, len(stored), BATCH)])

    times = take_turns({"mrikit": run_mrikit, "stored images": run_published}, arguments.num_times)
    one = stored_bytes / len(stored)
    notes = {
        "mrikit": f"{replay_bytes / 1e6:.1f} MB, {replay_bytes / CAPACITY:.0f} bytes a transition",
        "stored images": f"{CAPACITY * one / 1e9:.1f} GB, {one:,.0f} bytes",
    }
    print_table(f"replay of {CAPACITY:,} transitions, {BATCH} drawn with their images", times, [], notes)


def measured(make: Callable[[], T]) -> tuple[T, int]:
    """What is made, and the memory that it holds."""
    tracemalloc.start()
    made = make()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return made, held


def filled_replay(rng: np.random.Generator) -> Replay:
    """As full as it gets, a thousand transitions at a time."""
    replay = Replay(CAPACITY, NUM_COLUMNS)
    for _ in range(CAPACITY // 1000):
        replay.add(
            Transitions(
                volume_index=np.zeros(1000, np.int32),
                slice_index=rng.integers(0, NUM_SLICES, 1000).astype(np.int32),
                mask=rng.random((1000, NUM_COLUMNS)) < 0.3,
                line=rng.integers(0, NUM_COLUMNS, 1000).astype(np.int32),
                num_decisions=np.zeros(1000, np.int32),
                reward=np.zeros(1000, np.float32),
                is_done=np.zeros(1000, np.bool_),
            )
        )
    return replay


if __name__ == "__main__":
    main()
