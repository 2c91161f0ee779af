"""The page: one self-contained HTML file."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import jinja2

from mrikit import __version__
from mrikit.errors import StorageError
from mrikit.evaluate import DEFAULT_SCORER, score_files
from mrikit.report.acquired import acquired_folders, draw_strips
from mrikit.report.adversary_curves import draw_adversary
from mrikit.report.collect import ReconFolder, collect
from mrikit.report.curves import draw_curves
from mrikit.report.film import draw_learned
from mrikit.report.over_acceleration import draw_over_acceleration
from mrikit.report.over_lines import draw_over_lines
from mrikit.report.panels import readable, scored_panels, unscored_panels
from mrikit.report.picture import color_ramp, data_uri
from mrikit.report.tables import format_interval, make_axis, make_sections, run_facts, unscored_reasons
from mrikit.report.training import TrainingRun, undersampling
from mrikit.report.viewer import make_viewer, niivue
from mrikit.storage import shown, write_text

REPORT_FILE = "report.html"


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """Write scores, pictures and training curves of a run as one HTML file that needs nothing else, not even a network.

    Args:
        run_folder: Holds, at any depth, folders of reconstructions, scored by `mrikit evaluate` or not, and folders
            of training runs; or is one of them.
        out: The file; `report.html` in the run folder by default.

    Returns:
        The file written.

    Raises:
        DataError: There is nothing to report, or a file is damaged.
        StorageError: A file cannot be read or written.
    """
    out = out or run_folder / REPORT_FILE
    write_text(out, _render(run_folder, *collect(run_folder)))
    return out


def _render(run_folder: Path, folders: Sequence[ReconFolder], training: Sequence[TrainingRun]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mrikit.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"readable": readable, "interval": format_interval, "located": shown, "embedded": _embedded}
    environment.globals["undersampling"] = undersampling
    sections = make_sections(folders)
    panels = [scored_panels(section, folders) for section in sections]
    # The slice in the middle of them is one like most.
    viewers = [make_viewer(section, folders, found[1]) for section, found in zip(sections, panels, strict=True)]
    acquired = acquired_folders(folders)
    runs = {folder.path: folder.run for folder in folders} | {run.path: run.config for run in training}
    scorers = list(dict.fromkeys(folder.scores.scorer for folder in folders if folder.scores))
    return environment.get_template("report.html").render(
        title=run_folder.resolve().name,
        version=__version__,
        date=dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        run_folder=shown(run_folder),
        facts=run_facts(folders) if folders else [],
        training=[
            (_name(run.path, run_folder), run, [draw_curves(run), draw_adversary(run)], draw_learned(run))
            for run in training
        ],
        sections=sections,
        axis=make_axis(sections) if sections else None,
        over_acceleration=draw_over_acceleration(folders),
        over_lines=draw_over_lines(acquired),
        strips=draw_strips(acquired),
        panels=panels,
        viewers=viewers,
        niivue=niivue() if any(viewers) else "",
        unscored=unscored_reasons(folders),
        unscored_panels=unscored_panels(folders),
        ramp=color_ramp(),
        configurations=[(_name(path, run_folder), json.dumps(config, indent=2)) for path, config in runs.items()],
        scorers=scorers,
        score_files=[score_files(scorer) for scorer in scorers or [DEFAULT_SCORER]],
    )


def _embedded(png: Path) -> str:
    try:
        return data_uri(png.read_bytes())
    except OSError as error:
        raise StorageError(f"{png}: cannot be read: {error.strerror}") from error


def _name(path: Path, run_folder: Path) -> str:
    """A folder relative to the run, or its own name if it is the run."""
    return run_folder.resolve().name if path == run_folder else path.relative_to(run_folder).as_posix()
