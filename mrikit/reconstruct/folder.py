"""A folder of volumes to a folder of reconstructions, one file for each volume, resumable."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct.claims import claimed
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.method import ReconstructConfig
from mrikit.reconstruct.peak_memory import begin_peak, peak_facts
from mrikit.reconstruct.routing import Routing, build_routing, choose_method, describe_routing, plan_for
from mrikit.reconstruct.shard import Shard
from mrikit.reconstruct.shared_slices import HeldSlices
from mrikit.reconstruct.todo import Item, Work, find_work
from mrikit.reconstruct.volume import OnSlice, reconstruct_volume
from mrikit.reconstruct.whitening import whitened
from mrikit.run_files import RECONSTRUCT_FILE
from mrikit.storage import Location, create_json, read_json, write_json
from mrikit.volumes import VolumeFile
from mrikit.volumes.files import held_open, name_below
from mrikit.volumes.index_entry import label_of
from mrikit.volumes.patients import read_patients
from mrikit.volumes.reconstruction import SLOW_VOLUME_S, find_reconstructions, is_made_from, write_reconstruction

OnStart = Callable[[str, Work], None]
"""Called before the first volume with the name of the model, or of all models, and what there is to do."""
OnFailure = Callable[[str], None]
"""Called with the reason why a volume is passed over, which names its file."""

_FREE = ("version", "weights")  # may differ within one folder: the weights' digest counts, not where they lie
_SINCE = {
    "flips": False,
    "transposed": False,
    "whiten": False,
    "timed": False,
    "dither": 0.0,
}  # what folders of older versions do not say


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructSummary:
    """What one call did."""

    num_volumes: int
    """Volumes reconstructed by this call."""
    num_skipped: int
    """Volumes that were done before."""
    num_failed: int
    """Volumes that were passed over."""
    num_slices: int
    """Slices reconstructed by this call."""
    seconds: float
    """Time they took, reading and writing included."""
    num_own_mask: int
    """Volumes that kept the mask they were acquired with although a plan was given."""
    num_full: int
    """Volumes that stayed fully sampled although the network was trained on undersampled ones."""
    num_single: int
    """Volumes of one slice that a network of adjacent slices got repeated."""
    num_rest: int
    """Volumes that no weights suit, done by the classical method beside them."""
    num_slow: int = 0
    """Volumes whose forward passes took longer than the SNU challenge allows without a warning."""


OnEnd = Callable[[ReconstructSummary], None]
"""Called after the last volume, also where some were passed over, which is an error then."""


def reconstruct_folder(
    data: Location,
    out: Path,
    config: ReconstructConfig | Routing,
    *,
    device: torch.device | str = "cpu",
    shard: Shard | None = None,
    is_held_out: bool = False,
    is_timed: bool = False,
    patients: Path | None = None,
    sync: Callable[[], None] = lambda: None,
    on_start: OnStart = lambda _model, _work: None,
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
    on_failure: OnFailure = lambda _reason: None,
    on_wait: Callable[[int], None] = lambda _num_volumes: None,
    on_end: OnEnd = lambda _summary: None,
) -> ReconstructSummary:
    """Reconstruct every volume below `data` that is not in `out` yet; other processes may do so at the same time.

    A volume that cannot be read, or that no weights suit, is passed over and named at the end; everything else is
    finished first.

    Args:
        data: Folder of volumes, or one file.
        out: Folder for one `.h5` for each volume, in the tree of `data`, and `reconstruct.json`.
        config: Model or weights, and mask; or models that are on the device already.
        device: Where to compute.
        shard: The part of the volumes that this process does; others do the rest, in the same way and at any time.
        is_held_out: Whether to leave out volumes of patients that a network was trained on.
        is_timed: Whether to time the forward pass of each slice alone, as `ForwardClock` does.
        patients: Table of whose the volumes are, for `is_held_out`.
        sync: Called where `out` shall be what others who write there, too, see of it.
        on_start: Called before the first volume with the name of the model and what there is to do.
        on_slice: Called after every slice with the volume and its number of slices.
        on_failure: Called with one line about every volume that is passed over.
        on_wait: Called with the number of volumes that other processes are busy with, when nothing else is left.
        on_end: Called with what was done, before volumes that were passed over are raised as an error.

    Raises:
        CheckpointError: The weights are missing or damaged, or fit no model.
        ConfigError: `out` holds reconstructions made in another way, or model and weights contradict each other, or
            nothing says which volumes a network was trained on and they are to be left out.
        DataError: No volume was found, or some could not be reconstructed.
        JobError: The memory of the device does not suffice.
        StorageError: `out` cannot be written, or blobs cannot be read.
    """
    shard = shard or Shard()
    routing = config if isinstance(config, Routing) else build_routing(config, device)
    if is_held_out:
        _require_known_training(routing)
    table = None if patients is None else read_patients(patients)
    work = find_work(data, out, shard, routing.trained_on, is_held_out=is_held_out, patients=table)
    record = {
        **describe_routing(routing),
        "whiten": routing.config.whiten,
        "data": str(data.resolve()),
        "timed": is_timed,
    }
    clock = ForwardClock(device) if is_timed else None
    on_start(routing.name, work)
    failures: list[tuple[str, str]] = []
    done: list[_Done] = []
    begin_peak(device)
    start = time.perf_counter()
    with _claimed(out, record, sync, is_shared=shard.num_shards > 1):
        for item in _in_turn(work.items, out, on_wait):
            try:
                made = _reconstruct(item, routing, device, clock, on_slice)
            except DataError as error:
                name = name_below(data, item.file.path)
                failures.append((name, _name_file(str(error), item.file, name)))
                on_failure(failures[-1][1])
                continue
            if made:
                done.append(made)
        seconds = time.perf_counter() - start
        summary = _summarise(done, work, len(failures), seconds)
        if summary.num_slices and shard.num_shards == 1:
            _note_cost(out / RECONSTRUCT_FILE, record, summary, peak_facts(device), sync)
    on_end(summary)
    if failures:
        first, *others = failures
        more = f"; also {', '.join(name for name, _ in others)}" if others else ""
        raise DataError(f"{len(failures)} of {work.num_volumes} volumes could not be reconstructed: {first[1]}{more}")
    return summary


def _note_cost(
    path: Path, record: dict[str, Any], summary: ReconstructSummary, peak: dict[str, Any], sync: Callable[[], None]
) -> None:
    """Note time and memory beside what was asked for, unless another machine that does the same has done so meanwhile.

    They are those of this call, whose slices are counted; what it found done before took no time.
    """
    before = path.read_bytes()
    sync()
    if path.read_bytes() == before:
        cost = {
            "seconds": round(summary.seconds, 3),
            "slices_per_second": round(summary.num_slices / summary.seconds, 3),
            "seconds_per_slice": round(summary.seconds / summary.num_slices, 6),
            "num_slices": summary.num_slices,
        }
        write_json(path, record | cost | peak)


def _in_turn(items: list[Item], out: Path, on_wait: Callable[[int], None]) -> Iterator[Item]:
    """Each item while no other process has it; those that others are busy with come last."""
    busy: list[Item] = []
    for item in items:
        with claimed(out, item.target, waits=False) as is_ours:
            if is_ours:
                yield item
            else:
                busy.append(item)
    if busy:
        on_wait(len(busy))
    for item in busy:
        with claimed(out, item.target, waits=True):
            yield item


class _Done(NamedTuple):
    """One volume that was reconstructed."""

    num_slices: int
    has_own_mask: bool
    """Although a plan was given."""
    is_full: bool
    """Although the network was trained on undersampled ones."""
    is_single: bool
    """One slice, although the network sees several."""
    is_rest: bool
    """No weights suit it."""
    forward_seconds: float
    """Of all slices, where they were timed."""


def _reconstruct(
    item: Item, routing: Routing, device: torch.device | str, clock: ForwardClock | None, on_slice: OnSlice
) -> _Done | None:
    """Reconstruct one volume into its file; None if somebody else did meanwhile."""
    file = item.file.current()
    if is_made_from(item.target, file.source_signature):
        return None
    with held_open(file.open()) as opened:
        opened = whitened(opened) if routing.config.whiten else opened
        # What the classifier reads is there already for the network.
        volume = opened.replaced(kspace=HeldSlices(opened.kspace))
        method, config = choose_method(routing, volume, device), routing.config
        plan = plan_for(routing, method, volume)
        result = reconstruct_volume(volume, method, plan, device=device, clock=clock, on_slice=on_slice)
    described = result.config | ({} if config.task is None else {"task": config.task})
    described |= {"whiten": True} if config.whiten else {}
    described |= {"is_trained_on": True} if file.volume_id in routing.trained_on else {}
    write_reconstruction(item.target, replace(result, config=described, source_signature=file.source_signature))
    return _Done(
        num_slices=len(result.image),
        has_own_mask=plan is not None and result.mask.kind == "stored",
        is_full=result.mask.kind == "full" and bool(method.record.get("masks")),
        is_single=len(result.image) == 1 < method.num_adjacent,
        is_rest=method is routing.rest,
        forward_seconds=result.timing.total_seconds if result.timing else 0.0,
    )


def _require_known_training(routing: Routing) -> None:
    """Make sure that volumes that were trained on can be told from others."""
    if not any(method.weights for method in routing.methods):
        raise ConfigError(f"--held-out is for networks, and {routing.name} was not trained on anything; leave it out")
    if not any("trained_on" in method.record for method in routing.methods):
        raise ConfigError(
            "--held-out leaves out what a network was trained on, which these weights do not say; leave it out, and "
            "name data that are new to them"
        )


def _name_file(reason: str, file: VolumeFile, name: str) -> str:
    """A reason that names the volume's file by its name below the data.

    A volume's own name is not enough: the challenge has one of each name in the folder of every acceleration.
    """
    if str(file.path) in reason:
        return reason.replace(str(file.path), name)
    own = file.volume_id
    name = label_of(name, file.suffix)
    is_named = reason.startswith((f"{own}:", f"{own},"))
    return f"{name}{reason.removeprefix(own)}" if is_named else f"{name}: {reason}"


def _summarise(done: list[_Done], work: Work, num_failed: int, seconds: float) -> ReconstructSummary:
    return ReconstructSummary(
        num_volumes=len(done),
        num_skipped=work.num_volumes - len(done) - num_failed,
        num_failed=num_failed,
        num_slices=sum(one.num_slices for one in done),
        seconds=seconds,
        num_own_mask=sum(one.has_own_mask for one in done),
        num_full=sum(one.is_full for one in done),
        num_single=sum(one.is_single for one in done),
        num_rest=sum(one.is_rest for one in done),
        num_slow=sum(one.forward_seconds > SLOW_VOLUME_S for one in done),
    )


@contextlib.contextmanager
def _claimed(out: Path, record: dict[str, Any], sync: Callable[[], None], *, is_shared: bool) -> Iterator[None]:
    """Hold the folder for this configuration: its run file is ours, or says the same; without results it goes again.

    Where other processes share the work it stays, because they may be busy with their first volumes.
    """
    path = out / RECONSTRUCT_FILE
    if create_json(path, record):
        sync()  # before others find nothing there
    else:
        found = _SINCE | read_json(path)
        # As it comes back from a file, which has no tuples.
        for key, value in json.loads(json.dumps(record)).items():
            if key not in _FREE and found.get(key) != value:
                name, here, asked = _difference(key, found.get(key), value)
                raise ConfigError(
                    f"{out} is for reconstructions with {name} {here}, asked for {asked}; choose another --out"
                )
    try:
        yield
    finally:
        if not is_shared and not find_reconstructions(out):
            path.unlink(missing_ok=True)


def _difference(name: str, found: Any, asked: Any) -> tuple[str, Any, Any]:  # noqa: ANN401 - any JSON
    """Name and both values of the first setting that differs, within groups of settings; a missing one is `none`."""
    if not isinstance(found, dict) or not isinstance(asked, dict):
        return name, "none" if found is None else found, "none" if asked is None else asked
    key = next(key for key in {**found, **asked} if found.get(key) != asked.get(key))
    return _difference(f"{name}.{key}", found.get(key), asked.get(key))
