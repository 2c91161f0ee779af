"""Which archives of a mail are wanted."""

import difflib
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from mrikit.errors import ConfigError
from mrikit.transfer.catalogue import archive_key, archive_stem, load_catalogue
from mrikit.transfer.mail import MailArchive

_MOST_NAMED = 8


def select(archives: Sequence[MailArchive], only: Sequence[str] = ()) -> list[MailArchive]:
    """The wanted archives in the order of the mail, never the list of digests.

    Args:
        archives: What the mail offers.
        only: Names with or without suffix, beginnings of names up to a `_`, datasets, or patterns with * and ?;
            capitals do not matter. All archives if there are none.

    Raises:
        ConfigError: A name that nothing in the mail answers to, or a mail without archives.
    """
    offered = [archive for archive in archives if not archive.is_checksums]
    if not offered:
        raise ConfigError("the mail offers a list of digests but no archive; paste all of it")
    for word in only:
        if not any(_answers(archive, word) for archive in offered):
            raise ConfigError(_nothing_answers(offered, word))
    return [archive for archive in offered if not only or any(_answers(archive, word) for word in only)]


def require_own_names(archives: Sequence[MailArchive]) -> None:
    """Refuse two archives that would become one file.

    Raises:
        ConfigError: Names that several archives have.
    """
    counts = Counter(archive.name for archive in archives)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ConfigError(f"{', '.join(twice)}: two archives would become one file; leave one out with --only")


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
    said, catalogue = f"--only {word}: nothing in the mail has this name", load_catalogue()
    stems = [archive_stem(archive.name) for archive in offered]
    datasets = list(dict.fromkeys(name for archive in offered if (name := catalogue.dataset_of(archive.name))))
    plain = word.strip("*?").lower()
    num_within = sum(plain in stem.lower() for stem in stems)
    if plain and num_within:
        return f"{said}; {num_within} have it within: --only '*{plain}*'"
    is_known = any(one.name.lower().startswith(archive_key(word)) for one in (*catalogue.archives, *catalogue.splits))
    if word and (is_known or word.lower() in catalogue.words):
        return f"{said}, although fastMRI has it: is it in another mail? Here is {_or(datasets or stems[:_MOST_NAMED])}"
    near = difflib.get_close_matches(word.lower(), [*stems, *datasets], n=3, cutoff=0.7)
    if near:
        return f"{said}; is it {_or(near)}?"
    more = "" if len(stems) <= _MOST_NAMED else f" and {len(stems) - _MOST_NAMED} more; `mrikit data mail` lists them"
    return f"{said}; there are {', '.join(stems[:_MOST_NAMED])}{more}"


def _or(names: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
