"""Reports: tables, a chart, panels and training curves of a run in one self-contained HTML file."""

from mrikit.report.page import REPORT_FILE, write_report

__all__ = ["REPORT_FILE", "write_report"]
