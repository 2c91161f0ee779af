"""The scored window: the middle part of the field of view that is compared with the reference."""

from mrikit.volumes import ScanInfo


def scored_window(info: ScanInfo) -> tuple[int, int]:
    """(y, x) size that is scored: the reconstruction matrix, or the field of view where that is smaller."""
    height, width = (min(recon, full) for recon, full in zip(info.recon_matrix, info.matrix, strict=True))
    return height, width
