"""Which archives a user means."""

import pytest

from mrikit.errors import ConfigError
from mrikit.transfer.mail import read_mail
from mrikit.transfer.selection import require_own_names, select
from tests.transfer.mails import make_mail

NAMES = (
    "knee_multicoil_val.tar.xz",
    "knee_multicoil_train_batch_1.tar.xz",
    "knee_multicoil_train_batch_10.tar.xz",
    "knee_singlecoil_val.tar.xz",
    "knee_DICOMs_batch1.tar.xz",
    "brain_fastMRI_DICOM.tar.gz",
    "SHA256",
)
ARCHIVES = read_mail(make_mail(NAMES))


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        (["knee_multicoil_val.tar.xz"], [0]),
        (["knee_multicoil_val"], [0]),
        (["knee_multicoil_val.tar.gz"], [0]),
        (["Knee_Multicoil_Val"], [0]),
        (["knee_multicoil"], [0, 1, 2]),
        (["knee_multicoil_train"], [1, 2]),
        (["knee_multicoil_train_batch_1"], [1]),
        (["knee"], [0, 1, 2, 3, 4]),
        (["brain_dicom"], [5]),
        (["*_val"], [0, 3]),
        (["*.tar.gz"], [5]),
        (["*batch_?"], [1]),
        (["*dicom*"], [4, 5]),
        (["knee_singlecoil_val", "knee_multicoil_val", "knee_multicoil"], [0, 1, 2, 3]),
    ],
    ids=lambda value: "+".join(map(str, value)) or "all",
)
def test_words_choose_archives_in_the_order_of_the_mail(only, chosen):
    assert [one.name for one in select(ARCHIVES, only)] == [NAMES[index] for index in chosen]


def test_a_mail_without_archives_is_refused():
    with pytest.raises(ConfigError, match="a list of digests but no archive; paste all of it"):
        select(read_mail(make_mail(["SHA256"])))


def test_archives_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"^knee_multicoil_val\.tar\.xz: two archives would become one file"):
        require_own_names([*ARCHIVES, ARCHIVES[0]])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "knee_multicoil_vall",
            "--only knee_multicoil_vall: nothing in the mail has this name; is it knee_multicoil_val",
        ),
        ("brain_multicoil", "although fastMRI has it: is it in another mail? Here is knee_multicoil, knee_singlecoil"),
        ("val", "2 have it within: --only '*val*'"),
        ("Multicoil_", "3 have it within: --only '*multicoil_*'"),
        ("*_test", "nothing in the mail"),
        ("SHA256", "nothing in the mail"),
        ("", "nothing in the mail"),
        ("zzzzz", "there are knee_multicoil_val, knee_multicoil_train_batch_1"),
    ],
)
def test_a_word_that_means_nothing_is_refused_with_the_nearest_names(word, message):
    with pytest.raises(ConfigError) as caught:
        select(ARCHIVES, ["knee", word])
    assert message in str(caught.value)
