"""Reconstructions in the formats of clinics and of analysis: DICOM, NIfTI, MRD and PNG."""

from mrikit.export.export import FORMATS, ExportConfig, ExportSummary, export

__all__ = ["FORMATS", "ExportConfig", "ExportSummary", "export"]
