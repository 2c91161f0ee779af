"""The slices on both sides of one slice."""

from mrikit.errors import ConfigError


def require_middle(num_adjacent: int) -> None:
    """See that slices which belong together have one in their middle.

    Raises:
        ConfigError: Their number is even, or below 1.
    """
    if num_adjacent < 1 or num_adjacent % 2 == 0:
        raise ConfigError(f"adjacent slices are an odd number with the slice in the middle, found {num_adjacent}")


def neighbours(slice_index: int, num_slices: int, num_adjacent: int) -> list[int]:
    """`num_adjacent` slices with the slice itself in the middle; beyond the ends, the last slice is repeated."""
    reach = num_adjacent // 2
    return [min(max(index, 0), num_slices - 1) for index in range(slice_index - reach, slice_index + reach + 1)]
