"""Which archives of a mail are wanted."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from mrikit.errors import ConfigError
from mrikit.transfer.catalogue import archive_stem, load_catalogue
from mrikit.transfer.mail import MailArchive


def select(archives: Sequence[MailArchive], only: Sequence[str] = ()) -> list[MailArchive]:
    """The wanted archives in the order of the mail, never the list of digests.

    Args:
        archives: What the mail offers.
        only: Names with or without suffix, beginnings of names up to a `_`, datasets, or patterns with * and ?;
            capitals do not matter. All archives if there are none.

    Raises:
        ConfigError: A name that nothing in the mail answers to.
    """
    offered = [archive for archive in archives if not archive.is_checksums]
    for word in only:
        if not any(_answers(archive, word) for archive in offered):
            raise ConfigError(_nothing_answers(offered, word))
    return [archive for archive in offered if not only or any(_answers(archive, word) for word in only)]


def checksum_lists(archives: Sequence[MailArchive]) -> list[MailArchive]:
    """The lists of digests that the mail offers."""
    return [archive for archive in archives if archive.is_checksums]


def _answers(archive: MailArchive, word: str) -> bool:
    """Whether a word of the user means this archive."""
    word, name = word.lower(), archive.name.lower()
    stem = archive_stem(name)
    if any(mark in word for mark in "*?["):
        return fnmatchcase(name, word) or fnmatchcase(stem, word)
    is_named = word in (name, stem) or archive_stem(word) == stem
    return is_named or stem.startswith(f"{word}_") or load_catalogue().dataset_of(name) == word


def _nothing_answers(offered: Sequence[MailArchive], word: str) -> str:
    """What was asked for, and what comes nearest."""
    datasets = [load_catalogue().dataset_of(archive.name) for archive in offered]
    names = dict.fromkeys([archive_stem(archive.name) for archive in offered] + [name for name in datasets if name])
    near = difflib.get_close_matches(word, list(names), n=3, cutoff=0.5)
    hint = f"is it {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    return f"--only {word}: nothing in the mail has this name; {hint}"
