"""The page: one self-contained HTML file."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import jinja2

from mrikit import __version__
from mrikit.report.collect import ReconFolder, collect
from mrikit.report.panels import readable, scored_panels, unscored_panels
from mrikit.report.picture import color_ramp
from mrikit.report.tables import format_interval, make_axis, make_sections, run_facts, unscored_reasons
from mrikit.storage import write_text

REPORT_FILE = "report.html"


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """Write the scores and pictures of a run as one HTML file that needs nothing else, not even a network.

    Args:
        run_folder: Holds folders of reconstructions at any depth, scored by `mrikit evaluate` or not.
        out: The file; `report.html` in the run folder by default.

    Returns:
        The file written.

    Raises:
        DataError: There is nothing to report, or a file is damaged.
        StorageError: A file cannot be read or written.
    """
    out = out or run_folder / REPORT_FILE
    write_text(out, _render(run_folder, collect(run_folder)))
    return out


def _render(run_folder: Path, folders: Sequence[ReconFolder]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mrikit.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"readable": readable, "interval": format_interval}
    sections = make_sections(folders)
    return environment.get_template("report.html").render(
        title=run_folder.resolve().name,
        version=__version__,
        date=dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        facts=run_facts(folders),
        sections=sections,
        axis=make_axis(sections) if sections else None,
        panels=scored_panels(folders),
        unscored=unscored_reasons(folders),
        unscored_panels=unscored_panels(folders),
        ramp=color_ramp(),
        configurations=[
            (folder.path.relative_to(run_folder).as_posix(), json.dumps(folder.run, indent=2)) for folder in folders
        ],
    )
