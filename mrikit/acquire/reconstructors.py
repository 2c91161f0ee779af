"""Reconstructor: anything that makes images of masked k-space, with what it has to be given."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import pad

from mrikit.data import ScanBatch, network_inputs, undersample_by
from mrikit.errors import ConfigError, DataError
from mrikit.masks.mask import center_sizes
from mrikit.models import CLASSICAL
from mrikit.models.output import Output, compute, image_of
from mrikit.models.precision import autocast, real_float32
from mrikit.reconstruct import Method, ReconstructConfig, build_method

_CACHE_BYTES = 2**21
Reconstruct = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Masked k-space, mask and number of centre lines to the (batch, y, x) float32 magnitude, as `mrikit.models` has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconstructor:
    """A function from masked k-space to images, on its device."""

    name: str
    """For messages."""
    function: Reconstruct
    """Without gradients, and the same for each batch element whatever else is in the batch."""
    fill: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Output] | None = None
    """The same with the k-space that the images are of; None where no k-space is filled."""
    precision: str = "fp32"
    """One of `mrikit.models.precision.PRECISIONS`."""
    num_adjacent: int = 1
    """Slices that it sees together."""
    crops_before: bool = False
    """Whether it sees the scored window alone."""
    max_readout: int = 0
    """Rows of the image that it sees at most; 0 for all."""
    num_coils: int = 0
    """Virtual coils that it sees; 0 for the files' own."""
    matrix: tuple[int, int] | None = None
    """(readout, phase) that volumes are cropped to; None for their own."""

    def reconstruct(self, scan: ScanBatch, lines: torch.Tensor, *, one_by_one: bool = False) -> Output:
        """What it makes of some lines of full k-space.

        Args:
            scan: Full k-space.
            lines: (batch, phase) bool, what is measured.
            one_by_one: Whether each slice is computed alone, so that it rounds as in any other batch.

        Returns:
            (batch, y, x) float32 images of the full field of view, and k-space where it is filled.

        Raises:
            DataError: It made images of another shape.
        """
        centers = torch.from_numpy(center_sizes(lines.numpy(force=True))).to(lines.device)
        example = undersample_by(replace(scan, reference=None, data_range=None), lines[:, None, None], centers)
        inputs = network_inputs(example, crops_before=self.crops_before)
        at_a_time = 1 if one_by_one else _slices_at_a_time(scan.kspace)
        batches = zip(*(part.split(at_a_time) for part in inputs), strict=True)
        with real_float32(), autocast(lines.device, self.precision):
            outputs = [self.fill(*batch) if self.fill else Output(self._call(*batch)) for batch in batches]
        image = torch.cat([image_of(output).float() for output in outputs])
        if self.crops_before:
            image = _in_the_middle(image, scan.shape)
        if image.shape != (len(lines), *scan.shape):
            expected, found = (" x ".join(map(str, size)) for size in ((len(lines), *scan.shape), image.shape))
            raise DataError(f"{self.name} made images of {found}; {expected} would do: batch, y, x")
        if not bool(image.isfinite().all()):
            raise DataError(f"{self.name} made an image with NaN or infinity; finite weights and data would do")
        filled = [output.kspace for output in outputs if output.kspace is not None]
        return Output(image, torch.cat(filled) if filled else None)

    def _call(self, *inputs: torch.Tensor) -> torch.Tensor:
        image = self.function(*inputs)
        if not isinstance(image, torch.Tensor):
            found = type(image).__name__
            raise DataError(f"{self.name} made a {found}; a tensor (batch, y, x) of images would do")
        return image


def as_reconstructor(
    what: "str | Path | Method | nn.Module | Reconstruct | Reconstructor", device: torch.device | str = "cpu"
) -> Reconstructor:
    """A reconstructor of whatever names or is one.

    Args:
        what: The name of a classical method, weights or the run folder of a network, a method, a model, or a function.
        device: Where it computes.

    Raises:
        CheckpointError: The weights are damaged, or fit no model.
        ConfigError: Nothing is called so, or it chooses its lines itself.
    """
    if isinstance(what, Reconstructor):
        return what
    if isinstance(what, str | Path):
        what = named_method(what, device)
    if isinstance(what, Method):
        return _of_method(what)
    if isinstance(what, nn.Module):
        return _of_method(Method(name=type(what).__name__, model=what.to(device).eval()))
    if callable(what):
        return Reconstructor(name=getattr(what, "__name__", type(what).__name__), function=what)
    raise ConfigError(f"a reconstructor is a name, a path of weights, a model or a function; found {what!r}")


def named_method(what: str | Path, device: torch.device | str) -> Method:
    """The method of a classical name, or of weights or the run folder of a network.

    Raises:
        CheckpointError: The weights are damaged, or fit no model.
        ConfigError: Nothing is called so, or it chooses its lines itself.
    """
    name = str(what)
    if name in CLASSICAL:
        return build_method(ReconstructConfig(model=name), device)
    if not name or not Path(name).exists():
        raise ConfigError(
            f"no reconstructor is called {name!r}, and no file either; there are {', '.join(CLASSICAL)}, and the "
            f"weights or run folders of networks"
        )
    method = build_method(ReconstructConfig(weights=Path(name)), device)
    if method.is_adaptive:
        raise ConfigError(f"{name}: {method.name} chooses its lines itself; `mrikit reconstruct` takes it as it is")
    return method


def _of_method(method: Method) -> Reconstructor:
    if method.flips:
        raise ConfigError(f"{method.name}: an environment takes no mirror images; leave out flips")
    # A model need have no configuration, which `Method` asks for what it is given.
    has_config = hasattr(method.model, "config")
    return Reconstructor(
        name=method.name,
        function=method.model,
        fill=partial(compute, method.model) if method.gives_kspace else None,
        precision=method.precision,
        num_adjacent=method.num_adjacent if has_config else 1,
        crops_before=method.crops_before if has_config else False,
        max_readout=method.max_readout,
        num_coils=method.num_coils,
        matrix=method.matrix,
    )


def _slices_at_a_time(kspace: torch.Tensor) -> int:
    """As many as a CPU's cache holds; all on a GPU."""
    return len(kspace) if kspace.device.type != "cpu" else max(1, _CACHE_BYTES // kspace[0].nbytes)


def _in_the_middle(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """(batch, y, x) images with zeros around them, so that the centre crop gives them back."""
    height, width = image.shape[-2:]
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    return pad(image, (left, shape[1] - left - width, top, shape[0] - top - height))
