"""The published list of digests."""

import pytest

from mrikit.errors import DataError
from mrikit.transfer.checksums import parse_checksums

A, B = "a1" * 32, "b2" * 32


@pytest.mark.parametrize(
    "text",
    [
        f"{A}  a.tar.xz\n{B}  b.tar.gz\n",
        f"{A} *a.tar.xz\r\n{B} *b.tar.gz\r\n",
        f"{A.upper()}\ta.tar.xz\n\n{B} b.tar.gz",
        f"\ufeff  {A}  ./v2.0/a.tar.xz  \n{B}  v2.0\\b.tar.gz\n{A}  a.tar.xz",
    ],
)
def test_digests_are_read_by_name(text):
    found = parse_checksums(text)
    assert (found["a.tar.xz"], found["b.tar.gz"]) == (A, B)


def test_files_of_one_name_in_two_folders_are_told_apart():
    found = parse_checksums(f"{A}  v2.0/knee/train.tar\n{B}  v2.0/brain/train.tar\n{B}  v2.0/brain/val.tar\n")
    assert found == {
        "v2.0/knee/train.tar": A,
        "knee/train.tar": A,
        "v2.0/brain/train.tar": B,
        "brain/train.tar": B,
        "v2.0/brain/val.tar": B,
        "brain/val.tar": B,
        "val.tar": B,
    }


def test_a_whole_path_means_its_own_file():
    assert parse_checksums(f"{A}  train.tar\n{B}  brain/train.tar\n") == {"train.tar": A, "brain/train.tar": B}


def test_a_name_may_have_spaces():
    assert parse_checksums(f"{A}  a b.tar\n") == {"a b.tar": A}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no digest in it"),
        ("\n \n", "no digest in it"),
        (f"{A}  a\nnonsense", "line 2 is not"),
        (f"{A[:-1]}  a", "line 1 is not"),
        (f"{A}0  a", "line 1 is not"),
        (A, "line 1 is not"),
        (f"{A}  folder/", "line 1 is not"),
        (f"{A[:-1]}g  a", "line 1 is not"),
        (f"{A}  a\n{B}  a", "line 2 gives a a second digest"),
    ],
)
def test_nonsense_is_refused_by_its_line(text, message):
    with pytest.raises(DataError, match=message):
        parse_checksums(text)


def test_the_answer_of_a_server_is_not_quoted():
    with pytest.raises(DataError) as caught:
        parse_checksums("<Error><AWSAccessKeyId>CANARY</AWSAccessKeyId></Error>", "SHA256")
    assert str(caught.value) == "SHA256: line 1 is not `<64 hexadecimal digits>  NAME`; download the list again"
