"""Reports: tables, a chart and panels of a run in one self-contained HTML file."""

from mrikit.report.page import write_report

__all__ = ["write_report"]
