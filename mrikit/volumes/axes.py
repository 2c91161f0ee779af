"""AxisMap: which axis of a stored array is which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.physics.averages import combine_averages
from mrikit.volumes.slices import complex_of_fields

KSPACE_AXES = ("slice", "coil", "readout", "phase")
"""What every volume has, in this order."""
VOLUME_AXES = ("echo", "time", "repetition")
"""Each entry of such an axis is a volume of its own; all are one study."""
PARTS_OF_COILS = "coil parts"
"""An axis twice as long as there are coils: real part, imaginary part, real part of the next coil, ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AxisMap:
    """Which axis of a stored array is which, and how a slice of k-space comes out of it.

    Real values become complex by an axis `complex` of two parts, by `coil parts`, or by the fields of a compound.
    Averages are combined by `mrikit.physics.averages`.
    """

    names: tuple[str, ...]
    """One of `KSPACE_AXES`, `average`, `complex`, `coil parts`, or any name of `picks`, for each stored axis."""
    picks: Mapping[str, int] = field(default_factory=dict)
    """Axes of which one entry is read, by name: which one."""
    is_dc_cornered: bool = False
    """Whether the centre of k-space is stored at index 0 of readout and phase."""
    is_image_cornered: bool = True
    """Whether, where the centre of k-space is at index 0, that of the image is at index 0 too."""

    def shape(self, stored: tuple[int, ...]) -> tuple[int, int, int, int]:
        """(slice, coil, readout, phase) of an array that is stored in a shape."""
        sizes = dict(zip(self.names, stored, strict=True))
        num_coils = sizes[PARTS_OF_COILS] // 2 if PARTS_OF_COILS in sizes else sizes.get("coil", 1)
        return sizes.get("slice", 1), num_coils, sizes["readout"], sizes["phase"]

    def index(self, slices: int | slice) -> tuple[int | slice, ...]:
        """What to take from each stored axis for one slice or some."""
        return tuple(slices if name == "slice" else self.picks.get(name, slice(None)) for name in self.names)

    def arrange(self, values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float64]]:
        """One slice of k-space.

        Args:
            values: One stored slice: the axes but `slice` and those of `picks`, in the stored order.

        Returns:
            (coil, readout, phase) complex64, and the (average,) angles in rad by which averages were turned.

        Raises:
            DataError: The values are real.
        """
        values, names = to_complex(values, [name for name in self.names if name not in ("slice", *self.picks)])
        order = [name for name in ("average", *KSPACE_AXES) if name in names]
        values = values.transpose([names.index(name) for name in order])
        if "coil" not in order:
            values = np.expand_dims(values, -3)
        angles = np.zeros(1)
        if "average" in order:
            values, angles = combine_averages(values)
        if self.is_dc_cornered:
            values = np.fft.fftshift(values, axes=(-2, -1))
        if self.is_dc_cornered and not self.is_image_cornered:
            values = values * _half_turn(values.shape[-2])[:, None] * _half_turn(values.shape[-1])
        return np.ascontiguousarray(values, np.complex64), angles


def to_complex(values: npt.NDArray[Any], names: list[str]) -> tuple[npt.NDArray[Any], list[str]]:
    """Complex values, and the names of their axes, of which `complex` is gone and `coil parts` is `coil`.

    Raises:
        DataError: The values are real, and no axis holds real and imaginary parts.
    """
    if values.dtype.kind == "V":
        return np.ascontiguousarray(values).view(complex_of_fields(values.dtype)), names
    if "complex" in names:
        parts = np.moveaxis(values, names.index("complex"), 0)
        return parts[0] + 1j * parts[1], [name for name in names if name != "complex"]
    if PARTS_OF_COILS in names:
        parts = np.moveaxis(values, names.index(PARTS_OF_COILS), 0)
        return parts[0::2] + 1j * parts[1::2], ["coil", *(name for name in names if name != PARTS_OF_COILS)]
    if values.dtype.kind != "c":
        raise DataError(f"the array is {values.dtype}; complex k-space is needed. Is it a magnitude image?")
    return values, names


def find_image_corner(kspace: npt.NDArray[np.complexfloating]) -> bool:
    """Whether the object lies around index 0 of the image, rather than around its middle.

    The product of neighbours in k-space, summed, is the Fourier component of |image|^2 that has one period over the
    image: its phase says where the object lies. Around the middle, neighbours have opposite signs.

    Args:
        kspace: (coil, readout, phase) complex, its centre at index 0, one slice.
    """
    return all(complex(np.vdot(kspace, np.roll(kspace, 1, axis=axis))).real > 0 for axis in (-2, -1))


def _half_turn(size: int) -> npt.NDArray[np.complex64]:
    """The (size,) phases, for k-space with its centre in the middle, that move an image by half its size."""
    frequency = np.arange(size) - size // 2
    return np.asarray(np.exp(2j * np.pi * frequency * (size // 2) / size), np.complex64)
