"""What fastMRI offers, as far as it is public: archives, sizes, numbers of volumes. The facts are in catalogue.toml."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mrikit.transfer.mail_links import ARCHIVE_SUFFIX

_REVISION = re.compile(r"_v\d+$", re.IGNORECASE)
_BATCH = re.compile(r"_batch_?\d+$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueArchive:
    """One archive, or one whole split where a mail offers it as a single file."""

    name: str
    """File name without suffix."""
    dataset: str
    """Such as knee_multicoil or brain_dicom."""
    split: str
    """train, val, test, test_full; all where the dataset has no splits."""
    size_gib: tuple[float, float] | None = None
    """Least and most expected size, GiB; None where it is not public."""
    num_volumes: int | None = None
    """Volumes in it; None where it is not public."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """All archives, and what is known of whole splits."""

    archives: tuple[CatalogueArchive, ...]
    """In the order of the mail."""
    splits: tuple[CatalogueArchive, ...]
    """Whole splits, named DATASET_SPLIT, with their totals where public."""
    words: Mapping[str, str]
    """Dataset to the word in the names of its archives, for those that cannot be listed."""
    whole_splits: Mapping[str, str]
    """Name of a first-release archive to the split that it holds."""

    def find(self, name: str) -> CatalogueArchive | None:
        """The archive, or the whole split, of a file name; None if it is not listed."""
        key = archive_key(name)
        key = self.whole_splits.get(key, key)
        return next((one for one in (*self.archives, *self.splits) if one.name.lower() == key), None)

    def num_volumes(self, name: str) -> int | None:
        """How many volumes the archive of a file name holds; None if that is not public."""
        archive = self.find(name)
        return archive.num_volumes if archive else None

    def dataset_of(self, name: str) -> str | None:
        """The dataset that a file name belongs to; None if nothing says so."""
        archive = self.find(name)
        if archive is not None:
            return archive.dataset
        return next((dataset for dataset, word in self.words.items() if word in name.lower()), None)

    def covered(self, names: Iterable[str]) -> set[str]:
        """Names of the listed archives that these files hold, each batch of a whole split too."""
        found = [archive for name in names if (archive := self.find(name)) is not None]
        kinds = {(one.dataset, one.split) for one in found if one in self.splits}
        return {one.name for one in self.archives if one in found or (one.dataset, one.split) in kinds}

    def missing(self, names: Iterable[str]) -> dict[str, list[CatalogueArchive]]:
        """The listed archives that these files do not hold, by dataset, in the catalogue's order."""
        covered = self.covered(names)
        missing: dict[str, list[CatalogueArchive]] = {}
        for archive in self.archives:
            if archive.name not in covered:
                missing.setdefault(archive.dataset, []).append(archive)
        return missing

    def num_archives(self, dataset: str) -> int:
        """How many archives of a dataset are listed."""
        return sum(archive.dataset == dataset for archive in self.archives)


def archive_stem(name: str) -> str:
    """A file name without the suffixes of an archive."""
    return ARCHIVE_SUFFIX.sub("", name)


def archive_key(name: str) -> str:
    """What names are compared by: no suffix, no revision (`..._test_v2`), lower case."""
    return _REVISION.sub("", archive_stem(name)).lower()


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with mrikit."""
    facts = tomllib.loads(files("mrikit.transfer").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    archives = tuple(_archive(one) for one in facts["archives"])
    totals = {(one["dataset"], one["split"]): one for one in facts["splits"]}
    # A split of one archive has that archive's name already.
    kinds = dict.fromkeys(
        (one.dataset, one.split) for one in archives if _BATCH.search(one.name) and one.split != "all"
    )
    splits = (
        totals.get((dataset, split), {"dataset": dataset, "split": split}) | {"name": f"{dataset}_{split}"}
        for dataset, split in kinds
    )
    return Catalogue(
        archives=archives,
        splits=tuple(_archive(one) for one in splits),
        words=facts["words"],
        whole_splits={name: f"{one['dataset']}_{one['split']}" for name, one in facts["whole_splits"].items()},
    )


def _archive(facts: Mapping[str, Any]) -> CatalogueArchive:
    size_gib = facts.get("size_gib")
    return CatalogueArchive(**{**facts, "size_gib": (size_gib[0], size_gib[1]) if size_gib else None})
