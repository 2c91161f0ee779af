"""What processes do to one cache; in a file that a spawned process can import."""

from pathlib import Path

import numpy as np

from mrikit.storage.cache import RangeCache


def data_of(key: str, num_bytes: int = 1000) -> bytes:
    return np.random.default_rng(list(key.encode())).bytes(num_bytes)


def loaded(ranges: RangeCache, key: str, num_bytes: int = 1000) -> bytes | None:
    buffer = bytearray(num_bytes)
    return bytes(buffer) if ranges.load(key, memoryview(buffer)) else None


def hammer(folder: Path, seed: int, failures) -> None:
    """Load and save at random; whatever is served must be the data."""
    ranges = RangeCache(folder, 50_000)
    rng = np.random.default_rng(seed)
    for number in rng.integers(0, 80, 400):
        key = str(number)
        found = loaded(ranges, key)
        if found is None:
            ranges.save(key, data_of(key))
        elif found != data_of(key):
            failures.put(key)
