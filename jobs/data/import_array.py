"""`mrikit data import`: a raw array becomes a volume in the fastMRI format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def import_array(
    file: Annotated[Path, typer.Argument(help="A .npy, .mat, .cfl or HDF5 file with one array of k-space.")],
    axes: Annotated[str, typer.Option(help="Its axes in order: some of slice, coil, readout and phase.")],
    out: Annotated[Path, typer.Option(help="Folder to write the volume to.")],
    anatomy: Annotated[str, typer.Option(help="knee, brain, phantom, ...")],
    key: Annotated[str | None, typer.Option(help="Name of the array, where the file holds several.")] = None,
    noise: Annotated[Path | None, typer.Option(help="A noise-only scan of the same coils, to whiten them.")] = None,
    noise_axes: Annotated[str | None, typer.Option(help="Axes of the noise scan; those of FILE by default.")] = None,
    acquisition: Annotated[str | None, typer.Option(help="Name of the protocol, such as AXT2.")] = None,
    recon_matrix: Annotated[
        str | None, typer.Option(help="Y,X size of the scored window; the full field of view by default.")
    ] = None,
    volume_id: Annotated[str | None, typer.Option(help="Name of the volume; that of FILE by default.")] = None,
) -> None:
    """Write a raw array as a volume in the fastMRI format.

    Samples that are zero in every slice and coil count as not measured: such a volume gets a mask and no reference.
    Any other gets the root-sum-of-squares image as its reference. Zero columns at the sides, rows at an end and corners
    count as the zero filling of the scanner. A file that is there already stays.
    """
    if volume_id is not None and (Path(volume_id).name != volume_id or volume_id == ".."):
        raise ConfigError(f"the volume id becomes a file name in {out}, found {volume_id!r}; leave out folders")
    from mrikit.volumes import ScanInfo, Volume, write_fastmri
    from mrikit.volumes.raw import arrange, read_array
    from mrikit.volumes.sampling import find_sampling

    try:
        kspace = arrange(read_array(file, key), axes.split(","))
        region, mask = find_sampling(kspace)
    except DataError as error:
        raise error if str(file) in str(error) else DataError(f"{file}: {error}") from error
    if noise is not None:
        kspace = _whiten(kspace, noise, (noise_axes or axes).split(","))
    matrix = (kspace.shape[2], kspace.shape[3])
    window = _window(recon_matrix, matrix)
    info = ScanInfo(
        volume_id=volume_id or file.stem,
        anatomy=anatomy,
        acquisition=acquisition,
        matrix=matrix,
        recon_matrix=window,
        padding=region.columns,
    )
    path = out / f"{info.volume_id}.h5"
    if path.exists():
        typer.echo(f"{path} is there already and stays; delete it to import {file} again")
        return
    reference = _reference(kspace, window) if mask is None else None
    write_fastmri(path, Volume(kspace=kspace, reference=reference, mask=mask, info=info))
    num_slices, num_coils = kspace.shape[:2]
    sampling = "fully sampled" if mask is None else f"{mask.mean():.1%} sampled in {mask.ndim} dimensions, no reference"
    typer.echo(
        f"{path}: {num_slices} x {num_coils} x {matrix[0]} x {matrix[1]} (slice, coil, readout, phase), {sampling}"
    )
    typer.echo(f"next: mrikit reconstruct --data {out} --out RECON" + (" --acceleration 4" if mask is None else ""))


def _whiten(
    kspace: "npt.NDArray[np.complex64]", noise_file: Path, noise_axes: list[str]
) -> "npt.NDArray[np.complex64]":
    """K-space with coils of unit, uncorrelated noise, (slice, coil, readout, phase)."""
    import numpy as np
    import torch

    from mrikit.physics.coils import whiten, whitening_matrix
    from mrikit.volumes.raw import drop_ones, read_array

    if "coil" not in noise_axes:
        raise ConfigError(f"noise axes {','.join(noise_axes)}: the coil axis is needed")
    noise = drop_ones(read_array(noise_file), len(noise_axes))
    noise = np.moveaxis(noise, noise_axes.index("coil"), 0).reshape(noise.shape[noise_axes.index("coil")], -1)
    if len(noise) != kspace.shape[1]:
        raise DataError(f"{noise_file}: noise of {len(noise)} coils, but k-space has {kspace.shape[1]}; swap the axes?")
    matrix = whitening_matrix(torch.from_numpy(noise.astype(np.complex64)))
    return np.asarray(whiten(torch.from_numpy(kspace), matrix).numpy())


def _reference(kspace: "npt.NDArray[np.complex64]", window: tuple[int, int]) -> "npt.NDArray[np.float32]":
    """(slice, y, x) float32 root-sum-of-squares image, the centre crop that is scored."""
    import numpy as np
    import torch

    from mrikit.data import center_crop
    from mrikit.physics.coils import rss
    from mrikit.physics.fft import ifft2c

    return np.stack([center_crop(rss(ifft2c(torch.from_numpy(one))), window).numpy() for one in kspace])


def _window(recon_matrix: str | None, matrix: tuple[int, int]) -> tuple[int, int]:
    """The scored window, `Y,X`."""
    if recon_matrix is None:
        return matrix
    sizes = recon_matrix.split(",")
    if len(sizes) != 2 or not all(
        size.isdecimal() and 0 < int(size) <= most for size, most in zip(sizes, matrix, strict=True)
    ):
        raise ConfigError(f"--recon-matrix {recon_matrix}: two sizes Y,X up to {matrix[0]},{matrix[1]} are needed")
    return int(sizes[0]), int(sizes[1])
