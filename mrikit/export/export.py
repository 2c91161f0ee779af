"""Reconstructions to files that clinics and analysis programs read."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.export import dicom, mrd, nifti, png
from mrikit.export.part import Part, is_written, write_part
from mrikit.export.source import Source, find_sources, read_source
from mrikit.export.template import Template, read_template
from mrikit.export.template_place import place_by_template, require_size

FORMATS = ("dicom", "nifti", "mrd", "png")
_NO_PLACE = {"dicom": dicom.NO_PLACE, "nifti": nifti.NO_PLACE, "mrd": mrd.NO_PLACE}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """What to export to."""

    to: str
    """One of `FORMATS`."""
    template: Path | None = None
    """An MR image of the scan, as DICOM or as JSON of DICOM's tags."""
    is_bids: bool = False
    """NIfTI under BIDS names."""
    suffix: str | None = None
    """What BIDS calls the contrast, where no protocol tells it."""
    bits: int = 8
    """Of a pixel of a PNG file, 8 or 16."""

    def __post_init__(self) -> None:
        """Refuse what has no effect."""
        if self.to not in FORMATS:
            raise ConfigError(f"--to {self.to}: choose one of {', '.join(FORMATS)}")
        if self.template is not None and self.to == "png":
            raise ConfigError("--template tells patient and place, which a png does not hold; leave it out")
        if self.is_bids and self.to != "nifti":
            raise ConfigError(f"--bids is for nifti, found {self.to}")
        if self.suffix is not None and not (self.is_bids and self.suffix.isalnum()):
            raise ConfigError(f"--suffix {self.suffix}: a contrast in letters and digits, such as T2w, beside --bids")
        if self.bits not in (8, 16):
            raise ConfigError(f"--bits {self.bits}: a png has 8 or 16")
        if self.bits != 8 and self.to != "png":
            raise ConfigError(f"--bits is for png, found {self.to}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSummary:
    """What was done."""

    num_volumes: int
    num_files: int
    """Written now."""
    num_kept: int
    """There before, as they would be written now."""
    notes: dict[str, int]
    """What was not known or was found out, with the number of volumes."""


def export(
    recon: Path,
    out: Path,
    config: ExportConfig,
    *,
    on_volume: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExportSummary:
    """Write every reconstruction in another format; files that are there already are kept.

    Args:
        recon: One reconstruction file, or a folder of them.
        out: Folder for the files; its tree is that of `recon`.
        config: The format.
        on_volume: Called after each volume with the number done and of all.

    Raises:
        ConfigError: `out` is the folder of the reconstructions.
        DataError: A reconstruction or the template cannot be exported so, or a file in `out` is something else.
        StorageError: A file cannot be written.
    """
    found = find_sources(recon)
    if out.resolve() == (recon.parent if recon.is_file() else recon).resolve():
        raise ConfigError(f"{out} holds the reconstructions; choose another --out")
    template = None if config.template is None else read_template(config.template)
    counts, notes = Counter[bool](), Counter[str]()
    for done, (path, name) in enumerate(found, 1):
        source, said = _placed(read_source(path, name), template)
        notes.update(said)
        if not source.geometry.is_placed and config.to in _NO_PLACE:
            notes[_NO_PLACE[config.to]] += 1
        parts = _parts(source, config, template)
        missing = [part for part in parts if not is_written(part, out, path)]
        for part in missing:
            write_part(part, out)
        counts.update({True: len(missing), False: len(parts) - len(missing)})
        on_volume(done, len(found))
    if config.is_bids and not (out / nifti.description_part().name).exists():
        write_part(nifti.description_part(), out)
    return ExportSummary(num_volumes=len(found), num_files=counts[True], num_kept=counts[False], notes=dict(notes))


def _placed(source: Source, template: Template | None) -> tuple[Source, list[str]]:
    """The source with a place, where it has one or the template tells it, and what is to be said of that."""
    if template is None:
        return source, []
    if source.geometry.is_placed:
        require_size(source, template)
        return source, []
    geometry, note = place_by_template(source, template)
    return replace(source, recon=replace(source.recon, geometry=geometry)), [note] if note else []


def _parts(source: Source, config: ExportConfig, template: Template | None) -> list[Part]:
    if config.to == "dicom":
        return dicom.dicom_parts(source, template)
    mark = hashlib.sha256(f"{source.digest} {template.digest if template else ''}".encode()).hexdigest()
    if config.to == "nifti":
        return nifti.nifti_parts(source, mark, is_bids=config.is_bids, suffix=config.suffix)
    return mrd.mrd_parts(source, mark) if config.to == "mrd" else png.png_parts(source, mark, config.bits)
