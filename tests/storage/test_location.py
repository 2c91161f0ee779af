import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.errors import ConfigError
from mrikit.storage import BlobPath, parse_location, recorded_location


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("az://datasets", BlobPath("datasets")),
        ("az://datasets/", BlobPath("datasets")),
        ("az://my-data/knee//train/", BlobPath("my-data", "knee/train")),
        ("az://data/a/../b", BlobPath("data", "b")),
        ("some/folder", Path("some/folder")),
        ("/abs", Path("/abs")),
        ("C:thing", Path("C:thing")),
        ("./az:c", Path("az:c")),
        (f"az://{'a-' * 31}b", BlobPath("a-" * 31 + "b")),
    ],
)
def test_a_location_is_a_path_or_a_blob(text, location):
    assert parse_location(text) == location


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("az://", "'' is no name of a container"),
        ("az://Data/x", "'Data' is no name of a container; 3 to 63 lower-case"),
        ("az://a--b", "is no name of a container"),
        ("az://ab", "is no name of a container"),
        (f"az://{'a-' * 40}b/x", "is no name of a container"),
        (
            "az:/c/x",
            "az:/c/x: a location in Azure begins with az://, as az://container/prefix; a local file of this name",
        ),
        ("az:c", "a local file of this name is ./az:c"),
        ("az://data/../../x", "leads out of the container"),
        ("s3://bucket/x", "s3://bucket/x: not a place that mrikit knows; give a local path or az://container/prefix"),
    ],
)
def test_what_is_no_location_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_location(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.blob.core.windows.net/c/x?sv=1&sig=CANARY",
        "az://data/x?sig=CANARY",
        "az://DATA?sig=CANARY",
        "ftp://me:CANARY@host/x",
    ],
)
def test_a_signature_in_a_location_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigError) as raised:
        parse_location(text)
    assert "CANARY" not in str(raised.value)


def test_a_blob_has_the_manners_of_a_path():
    path = BlobPath("data", "knee/file1.tar.xz")
    assert (path.name, path.stem, path.suffix) == ("file1.tar.xz", "file1.tar", ".xz")
    assert str(path.parent) == "az://data/knee"
    assert str(path.parent.parent.parent) == "az://data"
    assert path.with_name("b.h5") == BlobPath("data", "knee/b.h5")
    assert path.parent / "../brain/./x" == BlobPath("data", "brain/x")
    assert pickle.loads(pickle.dumps(path)) == path
    with pytest.raises(TypeError):
        os.fspath(path)


@given(st.lists(st.text("abc.-_ äß%", min_size=1).filter(lambda part: part not in (".", "..")), min_size=1, max_size=4))
def test_what_is_printed_is_read_back(parts):
    path = BlobPath("data", "/".join(parts))
    assert parse_location(str(path)) == path
    pure = Path("/".join(parts))
    assert (path.name, path.parent / path.name) == (pure.name, path)


@pytest.mark.parametrize("location", [BlobPath("data", "knee/q?x #1.h5"), BlobPath("data"), Path("a?b"), Path("/x/y")])
def test_what_was_recorded_is_the_location_that_it_was(location):
    assert recorded_location(str(location)) == location
