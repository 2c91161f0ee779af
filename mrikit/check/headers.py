"""What the index of a data folder tells about its volumes, without reading a sample."""

import re
from collections.abc import Callable, Mapping
from itertools import chain

from mrikit.check.findings import UNREAD, Finding, make_finding
from mrikit.errors import DataError
from mrikit.volumes import Index, ScanInfo, Volume
from mrikit.volumes.anatomy import anatomy_of
from mrikit.volumes.patients import with_patients
from mrikit.volumes.splits import split_of

_MOST_NAMED = 3
_TWINS = re.compile(r"(singlecoil|multicoil|acc\d+)[^/]*/")
"""Folders whose files have the same names: fastMRI has scans with one coil and with all, SNU tests at acc4 and
acc8."""


def check_headers(index: Index) -> list[Finding]:
    """Files that are no volumes, volumes that contradict themselves, facts that are missing, patients in two splits."""
    volumes = {label: index.load(position) for position, label in enumerate(index.labels)}
    known, _ = with_patients([volume.info for volume in volumes.values()])
    infos = dict(zip(volumes, known, strict=True))
    return [
        *_bad_files(index),
        *chain.from_iterable(_contradictions(name, volume) for name, volume in volumes.items()),
        *_missing_facts(volumes),
        *_repeated_names(index),
        *_straddling_patients(infos),
    ]


def fits(volume: Volume) -> bool:
    """Whether the reference is no larger than the field of view that k-space gives."""
    assert volume.reference is not None
    return all(size <= full for size, full in zip(volume.reference.shape[1:], volume.info.matrix, strict=True))


def _bad_files(index: Index) -> list[Finding]:
    return [
        Finding(
            severity="error",
            kind=UNREAD if bad_file.fault.passes else "unreadable",
            files=(str(bad_file.path).removeprefix(f"{index.folder}/"),),
            what=bad_file.message.removeprefix(f"{bad_file.path}: "),
            remedy=bad_file.fault.remedy,
        )
        for bad_file in index.bad_files
    ]


def _contradictions(name: str, volume: Volume) -> list[Finding]:
    """What of one volume does not fit together."""
    info = volume.info
    left, right = info.padding
    found = [
        make_finding("warning", "inferred", (name,), note, "nothing, if that is right; else mend the file")
        for note in info.notes
    ]
    if info.interpolation is not None:
        found.append(
            make_finding(
                "warning",
                "interpolated",
                (name,),
                info.interpolation,
                "nothing; the measured ones are reconstructed and scored",
            )
        )
    if not 0 <= left <= info.matrix[1] // 2 < right <= info.matrix[1]:
        found.append(
            make_finding(
                "error",
                "padding",
                (name,),
                f"the header has columns [{left}, {right}) of {info.matrix[1]} acquired, which leaves out the k-space "
                f"centre at {info.matrix[1] // 2}",
                "mend the encoding limits of the header, or leave it out",
            )
        )
    if volume.reference is not None and not fits(volume):
        found.append(
            make_finding(
                "warning",
                "reference_too_large",
                (name,),
                f"the reference is {volume.reference.shape[1]} x {volume.reference.shape[2]}, more than the field of "
                f"view of {info.matrix[0]} x {info.matrix[1]}",
                "nothing, if the scanner interpolated it; it is not compared with k-space",
            )
        )
    try:
        anatomy_of(info)
    except DataError as error:
        what = str(error).removeprefix(f"{info.source}: ").partition(";")[0]
        found.append(make_finding("warning", "anatomy_differs", (name,), what, "rename the file, or mend its header"))
    return found


def _missing_facts(volumes: Mapping[str, Volume]) -> list[Finding]:
    """Facts that volumes lack, one finding for each fact."""
    facts: list[tuple[str, str, Callable[[str, Volume], bool], str]] = [
        (
            "patient_missing",
            "no patient id",
            lambda _, volume: volume.info.patient_id is None,
            "nothing, if each is of another patient or names tell it; else give training a table with --patients",
        ),
        (
            "anatomy_missing",
            "no anatomy in header, protocol or name",
            lambda _, volume: not _says_anatomy(volume.info),
            "name weights when reconstructing; --task auto cannot choose them",
        ),
        (
            "acquisition_missing",
            "no protocol",
            lambda _, volume: not volume.info.acquisition,
            "nothing; scores cannot be grouped by protocol",
        ),
        (
            "max_missing",
            "a reference, but no attribute 'max'",
            lambda _, volume: volume.reference is not None and volume.info.reference_max is None,
            "write the maximum of the reference into the file, as fastMRI does",
        ),
        (
            "reference_missing",
            "no reference, in a folder to train or validate on",
            lambda name, volume: volume.reference is None and split_of(name) in ("train", "val"),
            "bring the image files beside them, or unpack the archive again",
        ),
    ]
    found = []
    for kind, what, lacks, remedy in facts:
        names = [name for name, volume in volumes.items() if lacks(name, volume)]
        if names:
            words = f"{len(names)} of {len(volumes)} volumes have {what}"
            found.append(Finding(severity="warning", kind=kind, files=tuple(names), what=words, remedy=remedy))
    return found


def _says_anatomy(info: ScanInfo) -> bool:
    try:
        return anatomy_of(info) is not None
    except DataError:
        return True  # even twice


def _repeated_names(index: Index) -> list[Finding]:
    """Volumes that cannot be told apart by name, unless they lie in folders that are never used together."""
    by_name: dict[tuple[str, ...], list[str]] = {}
    for volume_id, name in zip(index.volume_ids, index.labels, strict=True):
        by_name.setdefault((volume_id, *_TWINS.findall(name.lower())), []).append(name)
    repeated = {volume_id: names for (volume_id, *_), names in by_name.items() if len(names) > 1}
    if not repeated:
        return []
    return [
        Finding(
            severity="warning",
            kind="repeated_name",
            files=tuple(chain.from_iterable(repeated.values())),
            what=f"more than one volume is called {_some(list(repeated))}",
            remedy="give the folder of one of them to the other commands, or rename it",
        )
    ]


def _straddling_patients(infos: Mapping[str, ScanInfo]) -> list[Finding]:
    """Patients that are trained on and also validated or tested."""
    found = []
    of_patient: dict[str, dict[str, list[str]]] = {}
    for name, info in infos.items():
        split = split_of(name)
        if info.patient_id is not None and split is not None:
            of_patient.setdefault(info.patient_id, {}).setdefault(split, []).append(name)
    for split in ("val", "test"):
        both = {patient: names for patient, names in of_patient.items() if {"train", split} <= names.keys()}
        if both:
            found.append(
                Finding(
                    severity="error",
                    kind="leakage",
                    files=tuple(chain.from_iterable(names["train"] + names[split] for names in both.values())),
                    what=f"{_patients(len(both))} in train and in {split}, as {_example(both, split)} show",
                    remedy="leave their volumes out of one of the two; scores of a patient trained on say nothing",
                )
            )
    return found


def _patients(count: int) -> str:
    return "1 patient is" if count == 1 else f"{count} patients are"


def _example(both: Mapping[str, Mapping[str, list[str]]], split: str) -> str:
    """Two files of the same patient; whose they are is nobody's business."""
    names = next(iter(both.values()))
    return f"{names['train'][0]} and {names[split][0]}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
