"""Inputs and outputs of a job in Azure ML."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.launching.job import JobSpec
from mrikit.storage import BlobPath, parse_location
from mrikit.storage.estate import Estate

DATA_MODES = {"mount": "ro_mount", "download": "download"}
"""Words of `--resource data_mode=`, and Azure ML's for them."""
_FILES = (".h5", ".hdf5", ".mrd", ".safetensors", ".json", ".csv", ".yaml", ".txt", ".zip", ".tar", ".gz", ".xz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One place that Azure ML brings to the machine before the command starts."""

    word: str
    """The word of the command that names it."""
    name: str
    """Of the input."""
    kind: str
    """uri_folder or uri_file."""
    path: str
    """azureml:// path in a datastore."""


def require_in_azure(spec: JobSpec, estate: Estate) -> None:
    """See that a machine in Azure can reach all that a job reads and writes.

    Raises:
        ConfigError: A place is on this machine, or in a container that is no datastore of the estate.
    """
    for is_read, places in ((True, spec.inputs), (False, spec.outputs)):
        for place in places:
            location = parse_location(place)
            if not isinstance(location, BlobPath):
                copy = f"`mrikit data copy {place} --to az://datasets/...` brings it there"
                advice = copy if is_read else "name az://runs/... instead"
                raise ConfigError(f"{place} is on this machine, where a job in Azure does not see it; {advice}")
            if location.container not in estate.datastores:
                raise ConfigError(
                    f"{place}: the estate has no datastore '{location.container}'; "
                    f"it has {', '.join(estate.datastores)}"
                )


def given_inputs(spec: JobSpec) -> list[Given]:
    """What the command reads, as Azure ML's inputs; each is named for the option before it."""
    found: dict[str, Given] = {}
    for before, word in zip(("", *spec.command), spec.command, strict=False):
        named = str(parse_location(word)) if word.startswith("az://") else ""
        if word in found or named not in (*spec.inputs, *spec.outputs) or before in ("--out", "--to"):
            continue
        location = parse_location(word)
        assert isinstance(location, BlobPath)
        if named in spec.outputs:
            raise ConfigError(f"--resource data_mode: {word} is written, too; leave data_mode out")
        found[word] = Given(
            word=word,
            name=_input_name(before, {one.name for one in found.values()}),
            kind="uri_file" if location.suffix in _FILES else "uri_folder",
            path=f"azureml://datastores/{location.container}/paths/{location.key}",
        )
    return list(found.values())


def _input_name(option: str, taken: Iterable[str]) -> str:
    """Letters, digits and underscores only: Azure ML takes neither dots nor slashes."""
    base = re.sub(r"\W", "_", option.lstrip("-"), flags=re.ASCII) if option.startswith("-") else "place"
    base = base if base[:1].isalpha() else "place"
    names = (base if number == 1 else f"{base}_{number}" for number in range(1, 1000))
    return next(name for name in names if name not in taken)
