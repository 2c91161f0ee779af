"""Whose each volume is: by its file, by a table, or by names that only differ in what was scanned."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.scan import VOLUME_SUFFIXES
from mrikit.volumes.volume import ScanInfo

_FILE_COLUMNS = {"file", "files", "filename", "file_name", "volume", "volume_id", "name"}
_PATIENT_COLUMNS = {"patient", "patient_id", "patientid", "subject", "subject_id", "person"}

_REPEATS = "repetition|repeat|rep|run|echo|avg|average|nex|nsa|contrast|dynamic|dyn|frame|measurement|meas"
_WEIGHTINGS = (
    "t1rho|t1map|t2map|t2star|t1post|t1pre|t1ce|t1gd|t1c|t1w|t2w|t2s|t1|t2|pdfs|pdw|pd|flair|dwi|dti|adc|swi|gre|stir|"
    "mprage|tof|axt1post|axt1pre|axt1|axt2|axflair|corpdfs|corpd"
)
_SCANNED = re.compile(
    rf"(?:(?:[_\-. ]+|(?<=\d))(?:{_REPEATS})[_\-. =]?\d{{1,3}}|[_\-. ]+(?:e|te)[_\-]?\d{{1,2}}"
    rf"|[_\-. ]+(?:{_WEIGHTINGS})[_\-]?\d{{0,2}})$",
    re.IGNORECASE,
)
"""What ends a name and tells what was scanned: `_rep2`, `_run-01`, `_echo3`, `_T101` (T1, repetition 01), `_FLAIR`."""
_PERSON = re.compile(
    r"(?:^|[_\-. ])(sub|subj|subject|patient|pat|person|volunteer|participant)[_\-]?(\d+)(?!\d)", re.IGNORECASE
)
_FASTMRI = re.compile(r"file\d+|file_(?:brain|knee|prostate|breast)_.*", re.IGNORECASE)
"""Names of fastMRI, in which every number is another scan."""
_NO_PERSON = {"acc", "brain", "knee", "prostate", "breast", "heart", "file", "scan", "volume", "vol", "kspace", "data"}
_NO_PERSON |= {"multicoil", "singlecoil", "train", "val", "test", "image", "img", "raw", "mri", "h"}


def with_patients(
    infos: Sequence[ScanInfo], table: Mapping[str, str] | None = None
) -> tuple[list[ScanInfo], list[str]]:
    """Facts of volumes that name a patient wherever one is known, and in words how those were found.

    The table counts most; then what the file says of the patient, or of the study; then names, where they tell it: see
    `patients_by_name`. A volume of which nothing tells it keeps None, and counts as another patient.

    Args:
        infos: Facts of each volume.
        table: Volume to patient, from `read_patients`.

    Returns:
        The facts in order, and lines to say; none if all files name their patients.

    Raises:
        DataError: The table lacks one of the volumes.
    """
    told = [(info.volume_id, info.patient_id or info.study_id, info.source) for info in infos]
    patients, by_name = known_patients(told, table)
    num_unknown = patients.count(None)
    each = "it counts as a patient of its own" if num_unknown == 1 else "each counts as another one"
    unknown = f"patients: unknown for {num_unknown} of {len(infos)} volumes, {each}; name them with --patients FILE.csv"
    return (
        [replace(info, patient_id=patient) for info, patient in zip(infos, patients, strict=True)],
        [*filter(None, [by_name]), *([unknown] if num_unknown else [])],
    )


def known_patients(
    told: Sequence[tuple[str, str | None, Location | None]], table: Mapping[str, str] | None = None
) -> tuple[list[str | None], str]:
    """The patient of each volume as far as known, and in words what names told; empty if they told nothing.

    Args:
        told: Name of each volume, the patient that its file names, and the file.
        table: Volume to patient, from `read_patients`.

    Raises:
        DataError: The table lacks one of the volumes.
    """
    if table is not None:
        patients = [named_patient(table, name, source) for name, _, source in told]
        missing = [name for (name, *_), patient in zip(told, patients, strict=True) if patient is None]
        if missing:
            raise DataError(f"--patients lacks {_some(missing)} of {len(told)} volumes; add a line for each")
        return patients, ""
    by_name = patients_by_name([name for name, patient, _ in told if patient is None])
    words = ""
    if by_name:
        counts = Counter(by_name.values())
        (person, _), *_ = counts.most_common(1)
        example = ", ".join([name for name, whose in by_name.items() if whose == person][:3])
        people = "1 person" if len(counts) == 1 else f"{len(counts)} people"
        files = f"{len(by_name)} files, such as {example}"
        words = f"patients: {people} by the names of {files}; --patients FILE.csv names others"
    return [patient if patient is not None else by_name.get(name) for name, patient, _ in told], words


def patients_by_name(names: Collection[str]) -> dict[str, str]:
    """Whose volumes are, where their names tell it: file name to what stands for the person.

    A name tells it by a word such as `sub-03` or `patient12`, or by its end: `2022061001_T101` and `2022061001_T102`
    are of one person, because what is left without the contrast, repetition or echo is the same. Some other name must
    have the same beginning, and it must say more than what was scanned. Names of fastMRI never tell it.

    Args:
        names: Of the volumes, without suffix.
    """
    people, stems = dict[str, str](), dict[str, str]()
    for name in names:
        if _FASTMRI.fullmatch(name):
            continue
        person = _PERSON.search(name)
        stem = _stem(name)
        if person:
            people[name] = f"{person[1]}{person[2]}".lower()
        elif stem != name and _is_person(stem):
            stems[name] = stem
    counts = Counter(stems.values())
    shared = {stem for stem, count in counts.items() if count > 1}
    # Without a number it may be a site or a study: there must be several that are scanned alike.
    if shared and (len(shared) > 1 or any(letter.isdigit() for letter in next(iter(shared)))):
        people |= stems
    return {name: people[name] for name in names if name in people}


def read_patients(path: Path) -> dict[str, str]:
    """The patient of each volume from a table of two columns: a volume or its file, and a patient.

    Columns are parted by commas, semicolons or tabs. A first line that names them, such as `file,patient`, may give
    them in any order and beside others; without one the first two count.

    Args:
        path: UTF-8 text.

    Returns:
        Volume, without folder and suffix, to patient.

    Raises:
        DataError: It cannot be read, a line has no file or patient, or a file has two patients.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table of patients: {error}; give a CSV file of file,patient") from error
    first = text.partition("\n")[0]
    rows = list(csv.reader(text.splitlines(), delimiter=max("\t;,", key=first.count)))
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    file_at = next((at for at, cell in enumerate(columns) if cell in _FILE_COLUMNS), None)
    patient_at = next((at for at, cell in enumerate(columns) if cell in _PATIENT_COLUMNS), None)
    has_header = file_at is not None and patient_at is not None
    file_at, patient_at = (file_at or 0, patient_at or 0) if has_header else (0, 1)
    patient_of: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row) or (number == 1 and has_header):
            continue
        cells = [cell.strip() for cell in row] + [""] * 2
        name, patient = (cells[at] if at < len(cells) else "" for at in (file_at, patient_at))
        if not name or not patient:
            raise DataError(f"{path}: line {number} lacks a file or a patient; found {row}; write it as file,patient")
        volume_id = _volume_id(name)
        if patient_of.setdefault(volume_id, patient) != patient:
            raise DataError(f"{path}: line {number} names {volume_id} again, of another patient; leave one of them")
    if not patient_of:
        raise DataError(f"{path}: names no patient; write lines of file,patient")
    return patient_of


def named_patient(table: Mapping[str, str], volume_id: str, source: Location | None = None) -> str | None:
    """Whose a volume is by a table, which may name the file of several volumes; None if it does not say."""
    return table.get(volume_id) or (None if source is None else table.get(source.stem))


def require_known(table: Mapping[str, str], names: Collection[str]) -> None:
    """Make sure that a table names nothing that is not there.

    Args:
        table: Volume to patient.
        names: Of all volumes and files that there are.

    Raises:
        DataError: It does.
    """
    strange = [name for name in table if name not in names]
    if strange:
        raise DataError(f"--patients names {_some(strange)}, which the data do not hold; mend or leave out these lines")


def _stem(name: str) -> str:
    """A name without what tells what was scanned; at least one character is left."""
    while (match := _SCANNED.search(name)) is not None and match.start():
        name = name[: match.start()]
    return name


def _is_person(stem: str) -> bool:
    """Whether a name says more than what was scanned."""
    parts = [part for part in re.split(r"[\W_]+", stem.lower()) if not re.fullmatch(r"acc\d+", part)]
    return any(part and part not in _NO_PERSON for part in parts)


def _volume_id(name: str) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name
    suffix = next((one for one in VOLUME_SUFFIXES if last.lower().endswith(one)), "")
    return last[: len(last) - len(suffix)]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
