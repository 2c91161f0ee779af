"""The settings of a study as JSON: what the files of its folder are made from."""

import hashlib
from pathlib import Path
from typing import Any

import mrikit
from mrikit.errors import DataError
from mrikit.simulate.digits_study import DigitsStudy
from mrikit.simulate.mixed_study import MixedStudy
from mrikit.simulate.photographs import photograph_files
from mrikit.simulate.study import StudyConfig
from mrikit.simulate.template_study import TemplateStudy


def settings_of(config: StudyConfig | TemplateStudy | DigitsStudy | MixedStudy) -> dict[str, Any]:
    """Everything that decides a volume; the number of volumes may grow, and the folder may move.

    Raises:
        ConfigError: The package that photographs are in is missing.
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
    settings["seed"] = config.seed
    if not isinstance(config, MixedStudy):
        settings["size"] = config.size
    settings["matrix"] = None if config.matrix is None else list(config.matrix)
    if isinstance(config, MixedStudy):
        settings |= {"template": _template(config.template), "photographs_sha256": _digest(*photograph_files())}
    if isinstance(config, StudyConfig):
        # What older studies could not set is noted where it is set, so that they still grow.
        usual = {"field_of_view_mm": 0.0, "noise": 1.0}
        settings |= {name: getattr(config, name) for name, value in usual.items() if getattr(config, name) != value}
    if isinstance(config, TemplateStudy):
        settings |= {
            "template": _template(config.template),
            "deformation_mm": config.deformation_mm,
            "coil_model": config.coil_model,
        }
    return settings


def _template(path: Path | None) -> str:
    return "ICBM152" if path is None else _digest(path)


def _digest(*paths: Path) -> str:
    """Of the files' bytes, one after the other."""
    content = hashlib.sha256()
    for path in paths:
        try:
            content.update(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); name a file that is there") from error
    return content.hexdigest()
