"""`mrikit export`: reconstructions to DICOM, NIfTI, MRD or PNG."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.places import AS_LOCATION, Location, reconstructions_of
from mrikit.commands.progress import Progress

if TYPE_CHECKING:
    from mrikit.export import ExportSummary


def export(
    recon: Annotated[
        Location,
        typer.Argument(
            **AS_LOCATION,
            help="A reconstruction, or a folder that `mrikit reconstruct` wrote; or az://container/prefix.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="dicom: a series for each volume; nifti: .nii.gz; mrd: ISMRMRD images in HDF5; png: a picture of each "
            "slice."
        ),
    ],
    out: Annotated[
        Location,
        typer.Option(
            **AS_LOCATION, help="Folder for the files, or az://container/prefix. What is there already is kept."
        ),
    ],
    template: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="An MR image of the scan (DICOM), for patient, study and frame of reference; its series tells the "
            "place of reconstructions that do not know it. Or JSON of DICOM tags, a list with an object for each "
            "slice. Without it the result names nobody.",
        ),
    ] = None,
    is_bids: Annotated[bool, typer.Option("--bids", help="NIfTI under BIDS names, with sidecars.")] = False,
    suffix: Annotated[
        str | None, typer.Option(help="With --bids: the contrast, such as T2w, where no protocol tells it.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Of a pixel of a png: 8 or 16.")] = 8,
) -> None:
    """Write the reconstructions of RECON in another format, for research use."""
    from mrikit.export import ExportConfig
    from mrikit.export import export as export_all
    from mrikit.storage import mirrored, named_as_locations, pulled, shown

    with contextlib.ExitStack() as held:
        held.enter_context(named_as_locations())
        image = pulled(template.parent) / template.name if template else None  # its series lies beside it
        config = ExportConfig(to=to, template=image, is_bids=is_bids, suffix=suffix, bits=bits)
        source = pulled(recon, reconstructions_of)
        place = held.enter_context(mirrored(out))
        progress = held.enter_context(Progress(f"exporting to {to}", "volumes"))

        def show_volume(done: int, total: int) -> None:
            place.check()
            progress.show(done, total)

        summary = export_all(source, place.folder, config, on_volume=show_volume)
        progress.stop()
        for note in _notes(summary):
            progress.say(note)
        kept = f"; {summary.num_kept} files were there before" if summary.num_kept else ""
        typer.echo(f"{to}: {summary.num_volumes} volumes, {summary.num_files} files in {shown(place.folder)}{kept}")


def _notes(summary: "ExportSummary") -> list[str]:
    of = summary.num_volumes
    return [f"warning: {count} of {of} volumes: {note}" for note, count in summary.notes.items()]
