"""Any bytes as an archive: nothing but our errors, nothing written outside the folder."""

from hypothesis import given, settings
from hypothesis import strategies as st
from transfer.archives import tar_of, unpack_bytes

from mrikit.errors import MrikitError
from mrikit.storage import list_files

TAR = tar_of({"knee/a.h5": b"a" * 700, "knee/" + "n" * 120 + ".h5": b"b" * 30, "c.h5": b""})


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_as_a_tar_raise_only_our_errors_and_write_only_below_the_folder(tmp_path_factory, data):
    spoiled = bytearray(TAR)
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(TAR) - 1))
        spoiled[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    for start in range(0, len(spoiled) - 511, 512):  # with checksums that fit, the rest is looked at too
        block = spoiled[start : start + 512]
        if block[257:262] == b"ustar" and data.draw(st.booleans()):
            spoiled[start + 148 : start + 156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 256)
    assert_unpacks_only_below(tmp_path_factory.mktemp("fuzz"), bytes(spoiled))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from([b"", b"\xfd7zXZ\x00", b"\x1f\x8b\x08", b"BZh9", b"\x28\xb5\x2f\xfd"]))
def test_any_bytes_at_all_raise_only_our_errors(tmp_path_factory, data, magic):
    assert_unpacks_only_below(tmp_path_factory.mktemp("fuzz"), magic + data)


def assert_unpacks_only_below(folder, data):
    try:
        unpack_bytes(data, folder, num_workers=1)
    except MrikitError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message
    assert {path.name for path in folder.iterdir()} <= {"a.tar.xz", "out"}
    assert all(not path.is_symlink() for path in folder.rglob("*"))
    assert not [name for name in list_files(folder / "out") if ".tmp" in name]
