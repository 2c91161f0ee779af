"""The filter of members: what may become a file, and what must not."""

import io
import tarfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer.archives import files_in, unpack_bytes

from mrikit.transfer.unpacking.members import SeenNames, check_member, clean_name, printable

BAD_NAMES = {
    "/etc/passwd": "an absolute path",
    "../up.h5": "leads out of its folder by '..'",
    "a/../../up.h5": "leads out of its folder by '..'",
    "C:/windows.h5": "a drive letter in its name",
    "./C:windows.h5": "a drive letter in its name",
    "a\\b.h5": "a backslash in its name",
    "a\nb.h5": "control characters in its name",
    "a\x1b[31m.h5": "control characters in its name",
    "a\x85.h5": "control characters in its name",
    "a\udcff.h5": "its name is not UTF-8",
    "a\u202eb.h5": "control characters in its name",
    ".mrikit/a.jsonl": ".mrikit belongs to mrikit",
    "./.MRIKIT/a.jsonl": ".mrikit belongs to mrikit",
    ".mrikit": ".mrikit belongs to mrikit",
    "knee/.mrikit/a.jsonl": ".mrikit belongs to mrikit",
    "knee/.mrikit-index.jsonl": ".mrikit belongs to mrikit",
    "n" * 161: "its name is too long",
    "\u00e9" * 81: "its name is too long",
    "d/" * 300 + "a": "too many folders",
    f"{'d' * 100}/" * 9 + "a": "its path is too long",
    ".a.host.12-345.tmp.h5": "named as a temporary file",
    "knee/.b.tar.xz.partial": "named as a temporary file",
    ".b.tar.xz.journal": "named as a temporary file",
    "a./b.h5": "a dot at the end of its name",
    "...": "a dot at the end of its name",
    "": "has no name",
    "./": "a file with the name of a folder",
    "a.h5/": "a file with the name of a folder",
}


def member(name, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


@pytest.mark.parametrize("name", [*BAD_NAMES], ids=[ascii(name[:20]) for name in BAD_NAMES])
def test_a_bad_name_is_refused(name):
    reason = check_member(member(name), SeenNames())
    assert reason == BAD_NAMES[name] or (name == "./" and reason == "has no name")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"V", "of the unknown type b'V'"),
    ],
)
def test_what_is_no_file_is_refused(kind, words):
    assert check_member(member("a.h5", kind), SeenNames()) == words


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("knee/A.h5", "knee/a.h5", "differs only by case or accents from knee/A.h5"),
        ("Knee/a.h5", "knee/b.h5", "differs only by case or accents from Knee"),
        ("caf\u00e9.h5", "cafe\u0301.h5", "differs only by case or accents from caf\u00e9.h5"),
        ("stra\u00dfe.h5", "strasse.h5", "differs only by case or accents from stra\u00dfe.h5"),
        ("a.h5", "a.h5", "named twice"),
        ("./a.h5", "a.h5", "named twice"),
        ("a", "a/b", "its folder a is a file of the archive, a"),
        ("a/b", "a", "is a folder of the archive too, a"),
        ("a/b", "A", "is a folder of the archive too, a"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_refused(first, second, words):
    seen = SeenNames()
    assert check_member(member(first), seen) is None
    assert check_member(member(second), seen) == words


def test_a_refused_name_takes_no_place():
    seen = SeenNames()
    assert check_member(member("a.h5", tarfile.SYMTYPE), seen) is not None
    assert check_member(member("a.h5"), seen) is None


def test_folders_may_be_named_again():
    seen = SeenNames()
    for _ in range(2):
        assert check_member(member("./knee/", tarfile.DIRTYPE), seen) is None
    assert check_member(member("./", tarfile.DIRTYPE), seen) is None
    assert check_member(member("knee/a.h5"), seen) is None


def test_a_hostile_name_is_shown_in_printable_letters():
    assert printable("a\x1b[31m\n\udcff\u202e") == r"a\x1b[31m\n\udcff\u202e"
    assert len(printable("n" * 10**6)) == 203


def hostile_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in [*BAD_NAMES, "knee/good.h5"]:
            info = member(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"data"))
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            info = member(f"special{number}", kind)
            info.linkname = "/etc/passwd"
            tar.addfile(info)
        info = member("knee/last.h5")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"last"))
    return file.getvalue()


def test_hostile_members_are_refused_by_name_and_the_rest_goes_on(tmp_path):
    result = unpack_bytes(hostile_tar(), tmp_path)
    assert files_in(tmp_path / "out") == {"knee/good.h5": b"data", "knee/last.h5": b"last"}
    assert not result.is_ok
    assert result.manifest.archive.state == "whole"
    refused = {entry.name: entry.reason for entry in result.manifest.refused}
    assert refused["../up.h5"] == "leads out of its folder by '..'"
    assert refused["special0"] == "a symbolic link"
    assert refused[r"a\x1b[31m.h5"] == "control characters in its name"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.xz", "out"]


NAMES = st.lists(
    st.one_of(
        st.sampled_from([".", "..", "", "/", "\\", "C:", ".mrikit", "a", "A", "\u00e9", "e\u0301", "con", "\x00", "~"]),
        st.text(max_size=4),
    ),
    max_size=6,
).map("/".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(NAMES, max_size=5))
def test_whatever_names_come_the_accepted_ones_lie_below_the_folder_and_apart(names):
    seen = SeenNames()
    accepted = [clean_name(name) for name in names if check_member(member(name), seen) is None]
    assert len({name.casefold() for name in accepted}) == len(accepted)
    for name in accepted:
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.parts[0].casefold() != ".mrikit"
        assert not any(other.startswith(f"{name}/") for other in accepted)
        name.encode("utf-8")
