"""Names of the Brain Imaging Data Structure (BIDS) for reconstructions."""

import re
from typing import Any

from mrikit import __version__
from mrikit.errors import DataError
from mrikit.export.source import Source

DESCRIPTION_FILE = "dataset_description.json"
CONTRASTS = {"FLAIR": "FLAIR", "T1": "T1w", "T2": "T2w", "PD": "PDw"}
"""Words in the name of a protocol and what BIDS calls such images; the first that is found counts."""


def bids_name(source: Source, suffix: str | None) -> str:
    """`sub-XX/anat/sub-XX_rec-MODEL_T2w`; XX is the volume's name and MODEL the model's, letters and digits alone.

    Raises:
        DataError: No contrast is given, and the name of the protocol tells none.
    """
    protocol = (source.recon.acquisition or "").upper()
    found = suffix or next((suffix for word, suffix in CONTRASTS.items() if word in protocol), None)
    if found is None:
        says = f"its protocol {source.recon.acquisition!r} names none" if protocol else "it names no protocol"
        raise DataError(f"{source.path}: a BIDS name needs the contrast, and {says}; give --suffix, such as T2w")
    subject = f"sub-{_label(source.name)}"
    return f"{subject}/anat/{subject}_rec-{_label(source.recon.model)}_{found}"


def dataset_description() -> dict[str, Any]:
    """The file that makes a folder a BIDS data set."""
    return {
        "Name": "Reconstructions by mrikit, research use only",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mrikit", "Version": __version__}],
    }


def _label(text: str) -> str:
    """BIDS labels hold letters and digits alone."""
    return re.sub(r"[^A-Za-z0-9]", "", text) or "x"
