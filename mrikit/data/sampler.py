"""Which slices are computed together, in which order and by whom: a function of seed and epoch alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count, cycle, islice
from typing import NamedTuple

import numpy as np

from mrikit.errors import ConfigError
from mrikit.randomness import generator
from mrikit.volumes import ScanInfo


class SliceKey(NamedTuple):
    """One slice of one volume."""

    volume: int
    """Position of the volume in its data set."""
    slice_index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchShape:
    """What decides with which other slices those of a volume can be stacked."""

    num_slices: int
    kspace: tuple[int, int, int]
    """(coil, readout, phase) sizes."""
    window: tuple[int, int]
    """(y, x) size of the scored window."""
    reference: tuple[int, int] | None
    """(y, x) size of the reference images in the file, None if it holds none."""

    @property
    def bucket(self) -> tuple[tuple[int, ...] | None, ...]:
        """Equal for volumes whose slices can share a batch."""
        return self.kspace, self.window, self.reference


def plan_epoch(
    shapes: Sequence[BatchShape], *, micro_batch_size: int, batch_size: int, seed: int, epoch: int, share: float = 1.0
) -> list[tuple[SliceKey, ...]]:
    """The micro-batches of one epoch in order: every slice once, slices of one shape together.

    The plan is the same for any number of ranks and workers; optimizer step t takes the t-th run of
    batch_size // micro_batch_size micro-batches. So that every step is whole and no slice is left out, the first
    micro-batches come again at the end where the number does not divide. The last micro-batch of a shape may be short.

    With a share below 1 each epoch is the next piece of an endless row of such passes through all slices, to the
    nearest number of whole steps: five epochs of a fifth see every slice once. All epochs have equally many steps. A
    slice comes twice in an epoch only where one pass ends and the next begins.

    Args:
        shapes: Of each volume.
        micro_batch_size: Slices that one rank computes at a time.
        batch_size: Slices of an optimizer step over all ranks, a multiple of the former.
        seed: Of the run.
        epoch: Every epoch has another order.
        share: Of the slices that an epoch sees, above 0 and at most 1.

    Returns:
        Micro-batches, each of at least one slice and of one bucket.

    Raises:
        ConfigError: The sizes do not fit each other.
    """
    if micro_batch_size < 1 or batch_size < 1 or batch_size % micro_batch_size:
        raise ConfigError(
            f"a batch size is a multiple of the micro-batch size, found {batch_size} and {micro_batch_size}; "
            f"try {max(1, round(batch_size / max(micro_batch_size, 1))) * max(micro_batch_size, 1)}"
        )
    num_micro = batch_size // micro_batch_size
    if share < 1:
        size = len(_one_pass(shapes, micro_batch_size, seed, 0))
        num_wanted = max(1, round(share * size / num_micro)) * num_micro
        first, passed = divmod(epoch * num_wanted, size)
        row = chain.from_iterable(_one_pass(shapes, micro_batch_size, seed, number) for number in count(first))
        return list(islice(row, passed, passed + num_wanted))
    plan = _one_pass(shapes, micro_batch_size, seed, epoch)
    return plan + list(islice(cycle(plan), -len(plan) % num_micro))


def rank_share(plan: Sequence[tuple[SliceKey, ...]], rank: int, world_size: int) -> list[tuple[SliceKey, ...]]:
    """The micro-batches that one rank computes: every `world_size`-th from its own.

    Raises:
        ConfigError: The ranks would not get equally many.
    """
    if len(plan) % world_size:
        raise ConfigError(
            f"{len(plan)} micro-batches cannot be shared equally by {world_size} processes; "
            "make the batch size a multiple of the micro-batch size times the processes"
        )
    return list(plan[rank::world_size])


def split_patients(volumes: Sequence[ScanInfo], *, num_validation: float, seed: int) -> tuple[list[int], list[int]]:
    """Split volumes into those to train on and those to validate on; no patient is in both.

    Patients are ordered by a number drawn from seed and name, and the first validate: the choice does not depend on
    the order of the files, and a patient who is added moves others only at the border. A file that does not say
    whose it is counts as a patient of its own.

    Args:
        volumes: Facts of each volume.
        num_validation: Below 1 the share of the patients, rounded but at least one; from 1 their number; 0 for none.
        seed: Of the split.

    Returns:
        Positions of the volumes for training and for validation, in order.

    Raises:
        ConfigError: The number is no share and no count, or leaves nobody to train on.
    """
    if not 0 <= num_validation < np.inf or (num_validation > 1 and num_validation != round(num_validation)):
        raise ConfigError(
            f"patients for validation are a share below 1 or a whole number, found {num_validation:g}; try 0.2 or 4"
        )
    names = [_patient(info) for info in volumes]
    patients = sorted(set(names), key=lambda name: (generator(seed, "validation", *name).random(), name))
    if num_validation >= 1:
        count = round(num_validation)
    else:
        count = max(1, round(num_validation * len(patients))) if num_validation else 0
    if count >= len(patients):
        raise ConfigError(
            f"{len(patients)} patient{'s' * (len(patients) != 1)} in the data; {count} for validation "
            f"leave{'s' * (count == 1)} none to train on; ask for fewer, or add data"
        )
    validating = set(patients[:count])
    return (
        [position for position, name in enumerate(names) if name not in validating],
        [position for position, name in enumerate(names) if name in validating],
    )


def _one_pass(
    shapes: Sequence[BatchShape], micro_batch_size: int, seed: int, number: int
) -> list[tuple[SliceKey, ...]]:
    """Micro-batches of every slice once; as many in each pass."""
    buckets: dict[object, list[SliceKey]] = {}
    for volume, shape in enumerate(shapes):
        buckets.setdefault(shape.bucket, []).extend(SliceKey(volume, index) for index in range(shape.num_slices))
    rng = generator(seed, number, "order")
    plan = []
    for keys in buckets.values():
        order = rng.permutation(len(keys)).tolist()
        plan += [
            tuple(keys[position] for position in order[first : first + micro_batch_size])
            for first in range(0, len(keys), micro_batch_size)
        ]
    return [plan[position] for position in rng.permutation(len(plan)).tolist()]


def _patient(info: ScanInfo) -> tuple[str, str]:
    if info.patient_id is not None:
        return "patient", info.patient_id
    # Volumes of one file are of one patient, whoever that is. A file of one volume is called as its volume.
    return "volume", info.study_id or info.volume_id
