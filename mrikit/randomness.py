"""Random numbers as a function of names: what is drawn for one purpose never moves what is drawn for another."""

import zlib

import numpy as np

Key = tuple[int | str, ...]
"""A seed followed by names and numbers, such as `(seed, "knee", patient, "texture")`."""


def generator(*key: int | str) -> np.random.Generator:
    """A generator that depends on `key` alone, so that volumes may be made in any order, anywhere, and added later.

    Args:
        key: A seed and names; integers count as they are (negative ones too), words by their CRC-32.
    """
    entropy = [zlib.crc32(_octets(part)) if isinstance(part, str) else _unsigned(part) for part in key]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _octets(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")  # a file name may be no UTF-8


def _unsigned(value: int) -> int:
    # SeedSequence takes no negative numbers; twice the value, odd for negative ones, is one-to-one.
    return 2 * value if value >= 0 else -2 * value - 1
