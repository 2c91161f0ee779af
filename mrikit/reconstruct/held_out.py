"""Volumes that say nothing of new patients, because a network was trained on them or on others of the same patient."""

from collections.abc import Collection, Mapping, Sequence

from mrikit.errors import DataError
from mrikit.volumes import VolumeFile
from mrikit.volumes.index_entry import load_info
from mrikit.volumes.patients import named_patient, patients_by_name, require_known


def of_same_patients(
    files: Sequence[VolumeFile], trained_on: Collection[str], table: Mapping[str, str] | None
) -> set[str]:
    """Volumes that a network was not trained on, but on others of the same patient.

    Whose they are say the table, else the files among the data, else names: see `mrikit.volumes.patients`.

    Args:
        files: Volumes that were looked into.
        trained_on: Volumes that the network was trained on, which may not be among the data.
        table: Volume to patient; None without one.

    Raises:
        DataError: The table lacks a volume, or names one that is neither in the data nor trained on.
    """
    ids = [file.volume_id for file in files]
    if table is not None:
        require_known(table, {*ids, *trained_on, *(file.path.stem for file in files)})
        found = {file.volume_id: named_patient(table, file.volume_id, file.path) for file in files}
        found |= {volume_id: table.get(volume_id) for volume_id in trained_on}
        missing = [volume_id for volume_id, patient in found.items() if patient is None]
        if missing:
            raise DataError(
                f"--patients lacks {missing[0]} and {len(missing) - 1} other volumes of the data or of what was "
                f"trained on; add a line for each"
            )
    else:
        found = {**patients_by_name({*ids, *trained_on}), **_told(files)}
    patients = {found.get(volume_id) for volume_id in trained_on} - {None}
    return {volume_id for volume_id in ids if found.get(volume_id) in patients and volume_id not in trained_on}


def _told(files: Sequence[VolumeFile]) -> dict[str, str]:
    """What files say of their patient, or of their study."""
    found = {}
    for file in files:
        if file.entry is not None and file.entry.kind == "volume":
            info = load_info(file.folder, file.name, file.entry.line, file.suffix)
            patient = info.patient_id or info.study_id
            if patient:
                found[file.volume_id] = patient
    return found
