"""What a folder is for: to train, to validate or to test.

Data sets say it by their folders: fastMRI by `multicoil_train`, the SNU challenge by `leaderboard/acc4`, CMRxRecon by
`TestSet`, others by `validation`, `dev` or `hidden`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mrikit.storage import BlobPath, Location

_WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "trainingset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "valset", "validationset", "devset"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "testingset", "leaderboard", "challenge", "hidden"), "test"),
}
_WEAK = {"challenge", "hidden", "dev"}
"""Words that also name other things, such as the event that a data set was made for."""
_PLAIN = {"brain", "knee", "batch", "full"}
"""Words beside which a weak one still tells the split."""
_FILLING = {"set", "acc", "r", "v", ""}
"""Words that say nothing of a split; the empty one is a number."""
_COILS = re.compile(r"multicoil|singlecoil")
_COILS_THEN_SPLIT = re.compile(rf"(multicoil|singlecoil)({'|'.join(_WORDS)})")
_LEADERBOARD_FILE = re.compile(r"(brain|knee)_test\d+", re.IGNORECASE)
_INNER = re.compile(
    r"(kspace|images?|acc_?\d+|brain|knee|prostate|breast|multi_?coil|single_?coil|cine|mapping|fullsample\w*|"
    r"undersample\w*|p\d+|batch_?\d+|h5|data)",
    re.IGNORECASE,
)
"""Folders that data sets have below the folder of a split."""


def split_of(name: str) -> str | None:
    """`train`, `val` or `test`, from the innermost folder of a file that says so; None where none does.

    A file that is called as those of the SNU leaderboard, such as `knee_test3.h5`, is test data in any folder.

    Args:
        name: Of a file, relative to the data folder, its parts joined by `/`.
    """
    if is_leaderboard_file(name):
        return "test"
    return _split_of_folder(split_folder(name).rpartition("/")[2])


def split_folder(name: str) -> str:
    """The innermost folder of a file that says what it is for, from the data folder on; empty where none does."""
    parts = name.split("/")[:-1]
    counts = (count for count in range(len(parts), 0, -1) if _split_of_folder(parts[count - 1]))
    return "/".join(parts[: next(counts, 0)])


def is_leaderboard_file(name: str) -> bool:
    """Whether a file is called as those of the SNU leaderboard."""
    return _LEADERBOARD_FILE.fullmatch(name.rpartition("/")[2].rpartition(".")[0]) is not None


def coils_of(name: str) -> str | None:
    """`multicoil` or `singlecoil`, from the innermost folder of a file that says so."""
    found = (_COILS.search("".join(_words(folder))) for folder in reversed(name.split("/")[:-1]))
    return next((match[0] for match in found if match), None)


def split_above(data: Location) -> tuple[str, Location] | None:
    """What the folder of the data, or one above it, says that it is for, and which folder; None where none does.

    Names above the data mean less: people work in folders called `test` too. One counts if its name says no more than
    that, and the folders between are such as data sets have, or if there are folders of other splits beside it.

    Args:
        data: Folder, or parent of a file.
    """
    places = [data, *_real(data)]
    found = [(split, folder) for place in places for split, folder in _above(place)[:1]]
    tests = [one for one in found if one[0] == "test"]
    return next(iter(tests or found), None)


def linked_test_folder(path: Location) -> Path | None:
    """The folder of test data that a file is a link into; None for other files."""
    if isinstance(path, BlobPath) or not path.is_symlink():
        return None
    real = path.resolve()
    if is_leaderboard_file(real.name):
        return real.parent
    found = split_above(real.parent)
    return Path(str(found[1])) if found and found[0] == "test" else None


def _real(data: Location) -> Sequence[Path]:
    """The folder itself, where links lead to it."""
    if isinstance(data, BlobPath):
        return []
    absolute = Path(os.path.abspath(data))  # noqa: PTH100 - links are kept as they are
    return [absolute, absolute.resolve()]


def _above(data: Location) -> list[tuple[str, Location]]:
    """Folders from the data upwards that say what they are for, innermost first."""
    found: list[tuple[str, Location]] = []
    is_near, place = True, data
    while place.name:
        split = _split_of_folder(place.name)
        if split and (_is_told(place.name) or (is_near and not _rest(place.name)) or _has_rivals(place, split)):
            found.append((split, place))
        is_near = is_near and _INNER.fullmatch(place.name) is not None
        place = place.parent
    return found


def _is_told(folder: str) -> bool:
    """Whether the name is one that only data sets have."""
    words = _words(folder)
    is_set = any(word.endswith(("set", "leaderboard")) for word in words) and not _rest(folder)
    return is_set or _COILS_THEN_SPLIT.search("".join(words)) is not None


def _has_rivals(folder: Location, split: str) -> bool:
    """Whether a folder beside this one is called alike, but for something else, as in a data set."""
    if isinstance(folder, BlobPath):
        return False
    rest = _rest(folder.name)
    try:
        with os.scandir(folder.parent) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:  # nobody may look into it
        return False
    return any(_split_of_folder(name) not in (None, split) and _rest(name) == rest for name in names)


def _rest(folder: str) -> list[str]:
    """What a name says beside the split."""
    return [word for word in _words(folder) if word not in _WORDS and word not in _FILLING]


def _split_of_folder(name: str) -> str | None:
    words = {word for word in _words(name) if word in _WORDS}
    if "retest" in _words(name):  # such a study scans everybody twice
        words.discard("test")
    found = {_WORDS[word] for word in words - _WEAK}
    if not found and (not set(_rest(name)) - _PLAIN or _COILS_THEN_SPLIT.search("".join(_words(name)))):
        found = {_WORDS[word] for word in words}
    return found.pop() if len(found) == 1 else None


def _words(folder: str) -> list[str]:
    """Words of a name in lower case, without the numbers at their ends: `TestSet_R4` has test, set and r."""
    parts = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", folder).lower())
    return [part.rstrip("0123456789") for part in parts]
