"""`mrikit data import`: a raw array becomes a volume in the fastMRI format."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.errors import ConfigError, DataError
from mrikit.words import in_shell

if TYPE_CHECKING:
    import torch

    from mrikit.volumes import SliceArray
    from mrikit.volumes.raw import RawSlices

AXES_HELP = (
    "Its axes in the order in which NumPy, MATLAB or BART shows them: some of slice, coil, readout, phase, average, "
    "echo, time, repetition and complex."
)


def import_array(
    file: Annotated[Path, typer.Argument(help="A .npy, .mat, .cfl or HDF5 file with one array of k-space.")],
    axes: Annotated[str, typer.Option(help=AXES_HELP)],
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
    """Write a raw array as a volume in the fastMRI format, one slice at a time.

    Averages are combined: each sample is the mean of those that measured it, after averages out of phase are turned.
    Each echo, time and repetition becomes a volume of its own, NAME_echo0.h5, ...; all are one study. Real arrays
    need the axis complex, of a real and an imaginary part; as the last one it need not be named.

    Samples that are zero in every slice and coil count as not measured: such a volume gets a mask and no reference.
    Any other gets the root-sum-of-squares image as its reference. Zero columns at the sides, rows at an end and corners
    count as the zero filling of the scanner. A file that is there already stays.
    """
    if volume_id is not None and (Path(volume_id).name != volume_id or volume_id == ".."):
        raise ConfigError(f"the volume id becomes a file name in {out}, found {volume_id!r}; leave out folders")
    from mrikit.volumes.raw import open_array, raw_volumes

    name, is_full = volume_id or file.stem, None
    try:
        with open_array(file, key) as stored:
            volumes = raw_volumes(stored, axes.split(","))
            whitening = None if noise is None else _whitening(noise, (noise_axes or axes).split(","), volumes)
            for suffix, kspace in volumes.items():
                path = out / f"{name}{suffix}.h5"
                if path.exists():
                    typer.echo(f"{path} is there already and stays; delete it to import {file} again")
                    continue
                facts = _Facts(anatomy=anatomy, acquisition=acquisition, study_id=name if suffix else None)
                is_full = _write(path, kspace, facts, recon_matrix, whitening)
    except DataError as error:
        raise error if str(file) in str(error) or str(noise) in str(error) else DataError(f"{file}: {error}") from error
    if is_full is not None:
        undersampling = ("--acceleration", "4") if is_full else ()
        typer.echo(f"next: {in_shell('reconstruct', '--data', out, '--out', 'RECON', *undersampling)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What the user says of an array."""

    anatomy: str
    acquisition: str | None
    study_id: str | None


def _write(
    path: Path, raw: "RawSlices", facts: _Facts, recon_matrix: str | None, whitening: "torch.Tensor | None"
) -> bool:
    """Write a volume, one slice at a time, and say so; whether it is fully sampled."""
    from mrikit.volumes import ScanInfo, Volume, write_fastmri
    from mrikit.volumes.sampling import find_sampling

    matrix = (raw.shape[2], raw.shape[3])
    window = _window(recon_matrix, matrix)
    region, mask = find_sampling(raw)
    info = ScanInfo(
        volume_id=path.stem,
        anatomy=facts.anatomy,
        acquisition=facts.acquisition,
        matrix=matrix,
        recon_matrix=window,
        padding=region.columns,
        study_id=facts.study_id,
    )
    kspace = _whitened(raw, whitening)
    reference = _reference(kspace, window) if mask is None else None
    write_fastmri(path, Volume(kspace=kspace, reference=reference, mask=mask, info=info))
    num_slices, num_coils = raw.shape[:2]
    sampling = "fully sampled" if mask is None else f"{mask.mean():.1%} sampled in {mask.ndim} dimensions, no reference"
    typer.echo(
        f"{path}: {num_slices} x {num_coils} x {matrix[0]} x {matrix[1]} (slice, coil, readout, phase), {sampling}"
    )
    _say_turned(path, raw)
    return mask is None


def _say_turned(path: Path, raw: "RawSlices") -> None:
    """Say what was done to averages, for nobody sees it in the file."""
    if "average" not in raw.axes.names:
        return
    num_averages = raw.stored.shape[raw.axes.names.index("average")]
    turned = [angle for angle in raw.angles.values() if angle]
    phases = "all in phase"
    if turned:
        most = math.degrees(max(turned))
        phases = f"turned into phase in {len(turned)} of {len(raw)} slices, by up to {most:.0f} degrees"
    typer.echo(f"{path}: {num_averages} averages combined, {phases}", err=True)


def _whitening(noise_file: Path, noise_axes: list[str], volumes: "dict[str, RawSlices]") -> "torch.Tensor":
    """(coil, coil) complex64 matrix that makes the noise of the coils white."""
    import torch

    from mrikit.physics.coils import whitening_matrix
    from mrikit.volumes.raw import read_noise

    noise = read_noise(noise_file, noise_axes)
    num_coils = next(iter(volumes.values())).shape[1]
    if len(noise) != num_coils:
        raise DataError(f"{noise_file}: noise of {len(noise)} coils, but k-space has {num_coils}; swap the axes?")
    return whitening_matrix(torch.from_numpy(noise))


def _whitened(raw: "RawSlices", matrix: "torch.Tensor | None") -> "SliceArray":
    """K-space with coils of unit, uncorrelated noise, (slice, coil, readout, phase)."""
    import torch

    from mrikit.physics.coils import whiten
    from mrikit.volumes.slice_array import ComputedSlices

    if matrix is None:
        return raw
    return ComputedSlices(
        source=raw, shape=raw.shape, compute=lambda one: whiten(torch.from_numpy(one), matrix).numpy()
    )


def _reference(kspace: "SliceArray", window: tuple[int, int]) -> "SliceArray":
    """(slice, y, x) float32 root-sum-of-squares image, the centre crop that is scored."""
    import torch

    from mrikit.data import center_crop
    from mrikit.physics.coils import rss
    from mrikit.physics.fft import ifft2c
    from mrikit.volumes.slice_array import ComputedSlices

    return ComputedSlices(
        source=kspace,
        shape=(len(kspace), *window),
        compute=lambda one: center_crop(rss(ifft2c(torch.from_numpy(one))), window).numpy(),
    )


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
