"""Trace of one training step without its memory."""

import functools
import json
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

# Tensors without memory are public neither by this name nor by another; tests pin what is used of them.
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from mrikit.data import BatchShape, ScanBatch, SliceFacts
from mrikit.masks import AcquiredRegion
from mrikit.models.choices import assuming
from mrikit.training.config import RunConfig
from mrikit.training.objectives import Draw, objective_of, with_shape
from mrikit.training.parts import Parts

_NO_KERNEL = ("detach", "alias", "empty", "empty_like", "empty_strided")
LATE_EPOCH = 1_000_000
"""An epoch in which every term of a loss counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What forward, loss and, unless it is left out, backward of one micro-batch take."""

    peak_bytes: int
    """Most that lives at once beside weights, gradients and the batch: activations and what is made of them."""
    batch_bytes: int
    """Full k-space and reference of the micro-batch."""
    weights_bytes: int
    """Of all weights, frozen ones included."""
    trained_bytes: int
    """Of weights that get a gradient."""
    product_flops: float
    """Of convolutions and matrix products, a multiplication and an addition counted as two."""
    fourier_flops: float
    """Of Fourier transforms, 5 n log2 n of n complex numbers."""
    moved_bytes: float
    """Read and written by everything else than convolutions and matrix products."""
    num_kernels: int
    """Operations that a device is asked for."""

    @property
    def flops(self) -> float:
        """All that is counted."""
        return self.product_flops + self.fourier_flops


def trace_step(config: RunConfig, shape: BatchShape, *, is_gpu: bool, has_backward: bool = True) -> Footprint:
    """Run one micro-batch without memory and without arithmetic, for seconds, and watch; the same one only once.

    What an operation takes inside itself and gives back, such as workspaces of convolutions, is not seen.

    Args:
        config: The run.
        shape: Of the slices, as the files have them.
        is_gpu: Whether to choose as the network does on a GPU: how many coils go through it together, and so on.
        has_backward: Whether it is trained, else validated.
    """
    kspace = (virtual_coils(config, shape), readout_rows(config, shape), shape.kspace[2])
    config = with_shape(config, kspace[1:])
    step = _Step(
        key=_key(config),
        config=config,
        kspace=kspace,
        window=shape.window,
    )
    return _trace(step, is_gpu=is_gpu, has_backward=has_backward)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """A step, equal to others of the same footprint."""

    key: str
    """All of the configuration that it depends on; stages of a run often differ in nothing of it."""
    config: RunConfig = field(compare=False)
    kspace: tuple[int, int, int]
    window: tuple[int, int]


def _key(config: RunConfig) -> str:
    data, training = config.data, config.training
    beside = [asdict(part) for part in (config.sampler, config.evaluator, config.orientation, config.adversary)]
    parts = (config.objective, config.model, config.model_config, *beside, training.precision, training.loss)
    return json.dumps([*parts, training.micro_batch_size, data.anatomy, *map(asdict, data.plans)], default=str)


@functools.cache
def _trace(step: _Step, *, is_gpu: bool, has_backward: bool) -> Footprint:
    config = step.config
    objective = objective_of(config)
    with torch.device("meta"):
        module = Parts(objective, objective.parts())
    with FakeTensorMode(allow_non_fake_inputs=True), assuming("cuda" if is_gpu else "cpu"), _Watch() as watch:
        module.to_empty(device="cpu").train(has_backward)
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        weights_bytes = watch.live_bytes
        scan, draw = _scan(step), Draw(0, LATE_EPOCH)
        batch_bytes = watch.live_bytes - weights_bytes
        if has_backward:
            # They are there at every micro-batch but the first, and then are added to.
            for weight in trained:
                weight.grad = torch.empty_like(weight)
        watch.begin()
        with torch.set_grad_enabled(has_backward):
            if has_backward:
                module(scan, draw).total.sum().backward()
            else:
                # A step of training without its backward, which validation differs from by a mask.
                module(scan, draw)
    return Footprint(
        peak_bytes=watch.peak_bytes,
        batch_bytes=batch_bytes,
        weights_bytes=weights_bytes,
        trained_bytes=sum(weight.nbytes for weight in trained),
        product_flops=watch.product_flops,
        fourier_flops=watch.fourier_flops,
        moved_bytes=watch.moved_bytes,
        num_kernels=watch.num_kernels,
    )


def readout_rows(config: RunConfig, shape: BatchShape) -> int:
    """Rows of k-space after the crop along the readout."""
    rows, wanted = shape.kspace[1], config.data.max_readout
    return min(rows, max(wanted, shape.window[0])) if wanted else rows


def virtual_coils(config: RunConfig, shape: BatchShape) -> int:
    """Coils of k-space as a network sees it."""
    return config.data.num_coils or shape.kspace[0]


def _scan(step: _Step) -> ScanBatch:
    """A micro-batch of nothing, as `mrikit.data.prepare` makes them."""
    num_slices = step.config.training.micro_batch_size
    # A loss or a class wants an anatomy; memory is the same.
    facts = SliceFacts(
        volume_id="",
        slice_index=0,
        anatomy=step.config.data.anatomy or "knee",
        acquired=AcquiredRegion.whole((step.kspace[1], step.kspace[2])),
    )
    return ScanBatch(
        kspace=torch.empty(num_slices, step.config.num_adjacent, *step.kspace, dtype=torch.complex64),
        reference=torch.empty(num_slices, *step.window),
        data_range=torch.empty(num_slices),
        crop=step.window,
        facts=(facts,) * num_slices,
    )


class _Watch(TorchDispatchMode):
    """Counts the bytes of all storages that live, and what operations compute and move."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live: dict[int, int] = {}
        self.begin()
        self.live_bytes = 0

    def begin(self) -> None:
        """Forget what was computed so far; the peak counts from what lives now."""
        self._first_bytes = self._most_bytes = sum(self._live.values())
        self.product_flops = self.fourier_flops = self.moved_bytes = 0.0
        self.num_kernels = 0

    @property
    def peak_bytes(self) -> int:
        """Most that lived at once beside what lived at the beginning."""
        return self._most_bytes - self._first_bytes

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's type of an operation is private
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func.name() == "aten::_local_scalar_dense":
            # A network asks a number only whether something is wrong with its input: nothing is.
            return False if args[0].dtype == torch.bool else 0
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_iter(result) if isinstance(leaf, torch.Tensor)]
        for output in outputs:
            self._add(output.untyped_storage())
        if not func.is_view and func.overloadpacket.__name__ not in _NO_KERNEL:
            self._count(func.overloadpacket, args, kwargs or {}, result, outputs)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        # Python's object of a storage lives as long as the storage.
        key = id(storage)
        if key not in self._live:
            self._live[key] = storage.nbytes()
            self.live_bytes += storage.nbytes()
            self._most_bytes = max(self._most_bytes, self.live_bytes)
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.live_bytes -= self._live.pop(key)

    def _count(
        self,
        packet: Any,  # noqa: ANN401
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        result: Any,  # noqa: ANN401
        outputs: list[torch.Tensor],
    ) -> None:
        self.num_kernels += 1
        if packet in flop_registry:
            self.product_flops += flop_registry[packet](*args, **kwargs, out_val=result)
            return
        inputs = [leaf for leaf in tree_iter((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        self.moved_bytes += sum(tensor.nbytes for tensor in (*inputs, *outputs))
        if packet.__name__.startswith("_fft_"):
            self.fourier_flops += _fourier_flops(inputs[0], args[1])


def _fourier_flops(signal: torch.Tensor, dims: Sequence[int]) -> float:
    length = math.prod(signal.shape[dim] for dim in dims)
    return 5 * signal.numel() * math.log2(max(length, 2))
