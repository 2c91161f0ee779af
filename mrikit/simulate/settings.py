"""The settings of a study as JSON: what the files of its folder are made from."""

import hashlib
from pathlib import Path
from typing import Any

import mrikit
from mrikit.errors import DataError
from mrikit.simulate.digits_study import DigitsStudy
from mrikit.simulate.study import StudyConfig
from mrikit.simulate.template_study import TemplateStudy


def settings_of(config: StudyConfig | TemplateStudy | DigitsStudy) -> dict[str, Any]:
    """Everything that decides a volume; the number of volumes may grow, and the folder may move.

    Raises:
        DataError: The file that a study is made of cannot be read.
    """
    settings: dict[str, Any] = {
        "mrikit": mrikit.__version__,
        "anatomy": config.anatomy,
        "num_coils": list(config.num_coils),
        "num_slices": config.num_slices,
        "layout": config.layout,
    }
    if isinstance(config, DigitsStudy):
        return settings | {"source_sha256": _digest(config.source)}
    settings |= {
        "seed": config.seed,
        "size": config.size,
        "matrix": None if config.matrix is None else list(config.matrix),
    }
    if isinstance(config, StudyConfig):
        # What older studies could not set is noted where it is set, so that they still grow.
        usual = {"field_of_view_mm": 0.0, "noise": 1.0}
        settings |= {name: getattr(config, name) for name, value in usual.items() if getattr(config, name) != value}
    if isinstance(config, TemplateStudy):
        settings |= {
            "template": "ICBM152" if config.template is None else _digest(config.template),
            "deformation_mm": config.deformation_mm,
            "coil_model": config.coil_model,
        }
    return settings


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a file that is there") from error
