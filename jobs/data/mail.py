"""`mrikit data mail`: what a download mail offers, and what of the catalogue it lacks. Links stay out of sight."""

import codecs
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrikit.commands.output import results_console
from mrikit.errors import StorageError
from mrikit.words import counted, expiry

if TYPE_CHECKING:
    from mrikit.transfer.catalogue import Catalogue, CatalogueArchive
    from mrikit.transfer.mail import Mail, MailArchive

_MAX_NAMED = 4
_TASTED_BYTES = 4096


def mail(
    file: Annotated[Path, typer.Argument(help="The mail as text or .eml; - reads it from standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the archives of a download mail: dataset, expected size, volumes, time left; then what is missing.

    Reads mails of every version, pasted, hard-wrapped or replied to. No part of a signature is ever shown. The time
    left is by this computer's clock.
    """
    from mrikit.transfer.catalogue import load_catalogue
    from mrikit.transfer.mail import parse_mail

    found = parse_mail(read_mail_file(file))
    facts = _facts(found, load_catalogue(), datetime.now(UTC))
    name = "FILE" if str(file) == "-" else shlex.quote(str(file))
    has_time_left = any(one["seconds_left"] is None or one["seconds_left"] > 0 for one in facts["archives"])
    facts["next"] = f"mrikit data copy {name} --to DIR" if has_time_left else None
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _print(facts)


def read_mail_file(file: Path) -> str:
    """The text of a mail, from standard input for `-`; octets that are no text stand for themselves, links have none.

    Raises:
        StorageError: It cannot be read.
    """
    if str(file) == "-":
        return _decode(sys.stdin.buffer.read())
    try:
        return _decode(file.read_bytes())
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}; save the download mail as text there") from None


def _decode(octets: bytes) -> str:
    """UTF-8, or what an editor of Windows saves as Unicode: UTF-16, of which in a mail every other octet is zero."""
    halves = [octets[start:_TASTED_BYTES:2].count(0) for start in (0, 1)]
    if octets[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return octets.decode("utf-16", "replace")
    if 4 * max(halves) > min(len(octets), _TASTED_BYTES):
        return octets.decode("utf-16-le" if halves[1] > halves[0] else "utf-16-be", "replace")
    return octets.decode("utf-8-sig", "replace")


def _facts(found: "Mail", catalogue: "Catalogue", now: datetime) -> dict[str, Any]:
    """All that is shown, in the form of --json."""
    archives = [archive for archive in found.archives if not archive.is_checksums]
    missing = catalogue.missing(archive.name for archive in archives)
    return {
        "archives": [_archive_facts(archive, catalogue, now) for archive in archives],
        "checksums": [archive.name for archive in found.archives if archive.is_checksums],
        "missing": {
            dataset: {"num_archives": catalogue.num_archives(dataset), "names": [one.name for one in lacking]}
            for dataset, lacking in missing.items()
        },
        "damaged": list(found.damaged),
        "num_duplicates": found.num_duplicates,
    }


def _archive_facts(archive: "MailArchive", catalogue: "Catalogue", now: datetime) -> dict[str, Any]:
    """One archive of the mail."""
    listed: CatalogueArchive | None = catalogue.find(archive.name) or catalogue.find(archive.link.name)
    expires_at = archive.link.expires_at
    return {
        "name": archive.name,
        "section": archive.section,
        "dataset": listed.dataset if listed else catalogue.dataset_of(archive.name),
        "split": listed.split if listed else None,
        "size_gib": listed.size_gib if listed else None,
        "num_volumes": listed.num_volumes if listed else None,
        "link": str(archive.link),
        "expires_at": expires_at.isoformat() if expires_at else None,
        "seconds_left": round((expires_at - now).total_seconds()) if expires_at else None,
    }


def _print(facts: dict[str, Any]) -> None:
    """The same facts for people: a table, then one line for each thing that is not as it could be."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("dataset", "archive", "GiB", "volumes", "expires"):
        table.add_column(
            column,
            justify="right" if column in ("GiB", "volumes") else "left",
            no_wrap=column != "archive",
            overflow="fold",
        )
    for one in facts["archives"]:
        volumes = f"{one['num_volumes']:,}" if one["num_volumes"] else "?"
        table.add_row(one["dataset"] or "?", one["name"], _size(one["size_gib"]), volumes, expiry(one["seconds_left"]))
    console = results_console()
    console.print(table)
    for name in facts["checksums"]:
        console.print(f"{name}: the published digests, fetched and checked by copy")
    present = {one["dataset"] for one in facts["archives"]}
    for dataset, lacking in facts["missing"].items():
        console.print(_missing(dataset, lacking["names"], lacking["num_archives"], is_known=dataset in present))
    if facts["damaged"]:
        from mrikit.transfer.mail import describe_damaged

        console.print(describe_damaged(facts["damaged"]))
    if facts["num_duplicates"]:
        console.print(
            f"duplicate links dropped: {facts['num_duplicates']}; of each file the one that lasts longest is kept"
        )
    if facts["next"]:
        console.print(f"next: {facts['next']}")
    elif facts["archives"]:
        console.print("all links have expired by this computer's clock; ask for a new mail")


def _missing(dataset: str, names: list[str], num_archives: int, *, is_known: bool) -> str:
    """What of a dataset the mail lacks, on one line."""
    if not is_known and len(names) == num_archives:
        return f"{dataset}: not in this mail ({counted(num_archives, 'archive')})"
    shown = ", ".join(names[:_MAX_NAMED]) + (", ..." if len(names) > _MAX_NAMED else "")
    return f"{dataset}: {len(names)} of {counted(num_archives, 'archive')} missing: {shown}"


def _size(size_gib: tuple[float, float] | None) -> str:
    if size_gib is None:
        return "?"
    least, most = size_gib
    return f"{least:g}" if least == most else f"{least:g}-{most:g}"
