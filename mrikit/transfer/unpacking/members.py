"""Which members of an archive may become files, and under which names."""

import re
import tarfile
import unicodedata

from mrikit.storage import is_temporary
from mrikit.transfer.places import MANIFEST_FOLDER

_MAX_PART_BYTES = 160  # a file system takes 255, of which a temporary name needs some for host and process
_MAX_NAME_BYTES = 900  # a blob's name takes 1,024
_MAX_PARTS = 200  # and 254 folders
_SHOWN_CHARACTERS = 200
_OF_A_COPY = re.compile(r"\..+\.(partial|journal)")
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class SeenNames:
    """The names that an archive has used so far, where those that differ by case or Unicode form are the same."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def add(self, name: str, *, is_folder: bool) -> str | None:
        """Take note of a name; or say on one line why it cannot be had beside the others, and forget it.

        Args:
            name: What `clean_name` made of it.
            is_folder: Whether it is a folder; folders may be named again.
        """
        parts = name.split("/")
        folders = ["/".join(parts[:count]) for count in range(1, len(parts) + is_folder)]
        for folder in folders:
            key = name_key(folder)
            if key in self._files:
                return f"its folder {printable(folder)} is a file of the archive, {printable(self._files[key])}"
            if self._folders.get(key, folder) != folder:
                return f"differs only by case or accents from {printable(self._folders[key])}"
        if not is_folder:
            key = name_key(name)
            if key in self._folders:
                return f"is a folder of the archive too, {printable(self._folders[key])}"
            if key in self._files:
                same = self._files[key]
                return "named twice" if same == name else f"differs only by case or accents from {printable(same)}"
            self._files[key] = name
        self._folders.update((name_key(folder), folder) for folder in folders)
        return None


def check_member(info: tarfile.TarInfo, seen: SeenNames) -> str | None:
    """Why a member must not become a file, on one line; None if it may, or is a folder.

    Args:
        info: Its header.
        seen: The members before; this one is added if it may stay.
    """
    if info.type not in _FILES and not info.isdir():
        return _KINDS.get(info.type, f"of the unknown type {info.type!r}")
    reason = _check_name(info.name)
    if reason is not None:
        return reason
    name = clean_name(info.name)
    if not name:
        return None if info.isdir() else "has no name"
    if info.isreg() and info.name.endswith("/"):
        return "a file with the name of a folder"
    return seen.add(name, is_folder=info.isdir())


def clean_name(name: str) -> str:
    """The name without `./` and doubled slashes, which mean nothing."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def printable(name: str) -> str:
    """A name as it may be shown on a terminal and kept in a manifest, whatever it holds."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name[:_SHOWN_CHARACTERS])
    return shown if len(name) <= _SHOWN_CHARACTERS else f"{shown}..."


def name_key(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_name(name: str) -> str | None:
    parts = name.split("/")
    categories = {unicodedata.category(letter) for letter in name}
    first = next((part for part in parts if part not in ("", ".")), "")
    refusals = (
        ("Cs" in categories, "its name is not UTF-8"),
        (not categories.isdisjoint(("Cc", "Cf")), "control characters in its name"),
        (name.startswith("/"), "an absolute path"),
        (".." in parts, "leads out of its folder by '..'"),
        ("\\" in name, "a backslash in its name"),
        (bool(re.match(r"[A-Za-z]:", first)), "a drive letter in its name"),
        (any(name_key(part).startswith(MANIFEST_FOLDER) for part in parts), f"{MANIFEST_FOLDER} belongs to mrikit"),
        (any(_OF_A_COPY.fullmatch(part) or is_temporary(part) for part in parts), "named as a temporary file"),
        (any(part.endswith(".") and part not in (".", "..") for part in parts), "a dot at the end of its name"),
        (len(parts) > _MAX_PARTS, "too many folders"),
        (max(len(part.encode("utf-8", "replace")) for part in parts) > _MAX_PART_BYTES, "its name is too long"),
        (len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES, "its path is too long"),
    )
    return next((reason for is_so, reason in refusals if is_so), None)
