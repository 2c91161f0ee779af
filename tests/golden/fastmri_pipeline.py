"""Whole small files of fastMRI's forms, and how fastMRI 0.3.0 itself reconstructs them.

`python tests/golden/fastmri_pipeline.py` made `fastmri_pipeline.npz` with `fastmri==0.3.0` (MIT licence) and the
networks of `fastmri_unet.npz` and `fastmri_varnet.npz`: its `SliceDataset`, its transforms, its models, and the steps
around them that its scripts for inference have. Tests read the file and need no fastmri; they write the same volumes.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))

from mrikit.volumes import ScanInfo, Volume, write_fastmri  # noqa: E402 - the path comes first


@dataclass(frozen=True, kw_only=True)
class Case:
    """One volume, how it is undersampled, and the networks that reconstruct it."""

    size: tuple[int, int] = (40, 32)
    window: tuple[int, int] = (24, 24)
    num_coils: int = 3
    padding: tuple[int, int] | None = None
    anatomy: str = "knee"
    acquisition: str = "CORPD_FBK"
    drawn: tuple[str, float, float] | None = None
    """Kind, centre fraction and acceleration of a mask; None for the file's own."""
    center: int = 0
    """Lines in the middle of the file's own mask, beside every third line."""
    first: int = 0
    """The first of these lines."""
    says_center: bool = False
    """Whether the file has the attribute `num_low_frequency`."""
    networks: tuple[str, ...] = ("unet", "varnet")


CASES = {
    "knee_equispaced": Case(drawn=("equispaced_fraction", 0.2, 4)),
    "knee_random": Case(drawn=("random", 0.16, 4), window=(28, 22)),
    "knee_old_equispaced": Case(drawn=("equispaced", 0.12, 3), size=(48, 37), window=(20, 20)),
    "knee_padded": Case(drawn=("equispaced_fraction", 0.2, 3), size=(40, 36), padding=(4, 32)),
    "knee_one_coil": Case(drawn=("random", 0.2, 4), num_coils=1, networks=("unet",)),
    "knee_one_coil_odd": Case(
        drawn=("random", 0.2, 4), num_coils=1, networks=("unet",), size=(45, 35), window=(23, 21)
    ),
    "brain_odd": Case(
        drawn=("equispaced", 0.2, 4), size=(45, 35), window=(23, 21), anatomy="brain", acquisition="AXT2"
    ),
    "brain_narrow": Case(
        drawn=("equispaced_fraction", 0.12, 4), size=(64, 26), window=(40, 40), anatomy="brain", acquisition="AXFLAIR"
    ),
    "brain_test": Case(center=7, size=(48, 36), anatomy="brain", acquisition="AXT1"),
    "brain_test_says": Case(center=7, size=(48, 36), anatomy="brain", acquisition="AXT1", says_center=True),
    "brain_test_odd": Case(center=6, first=1, size=(45, 35), window=(23, 21), anatomy="brain", acquisition="AXT1"),
    "brain_test_narrow": Case(center=8, size=(64, 26), window=(40, 40), anatomy="brain", acquisition="AXFLAIR"),
    "knee_test_padded": Case(center=7, first=2, size=(40, 36), padding=(4, 32), says_center=True),
    "knee_test_one_coil": Case(center=8, num_coils=1, networks=("unet",), says_center=True),
}


def write_case(folder: Path, name: str) -> Path:
    """Write the file of a case, the same on every machine but for rounding."""
    case = CASES[name]
    rng = np.random.RandomState([ord(character) for character in name])
    rows, columns = case.size
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    left, right = case.padding or (0, columns)
    slices = []
    for index in range(2):
        body = ((y / 0.8) ** 2 + (x / 0.7) ** 2 < 1) + 0.6 * ((y - 0.2) ** 2 + (x + 0.1 * index) ** 2 < 0.1)
        body = body + 12.0 * ((y + 0.1) ** 2 + (x - 0.2) ** 2 < 0.006)  # what is cut off at 6 deviations
        body = body * np.exp(1j * (0.7 * y + x + index))
        coils = []
        for coil in range(case.num_coils):
            angle = 2 * np.pi * coil / case.num_coils
            weight = np.exp(-((y - np.sin(angle)) ** 2) - (x - np.cos(angle)) ** 2 + 1j * (angle + 0.5 * x))
            noise = 0.02 * (rng.standard_normal(case.size) + 1j * rng.standard_normal(case.size))
            coils.append(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(weight * body + noise), norm="ortho")))
        slices.append(np.stack(coils))
    kspace = (1e-5 * np.stack(slices)).astype(np.complex64)
    kspace[..., :left] = kspace[..., right:] = 0
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho"), (-2, -1))
    image = np.sqrt((np.abs(image) ** 2).sum(1)).astype(np.float32)
    top, start = ((full - part) // 2 for full, part in zip(case.size, case.window, strict=True))
    # A window that is wider than the field of view has zeros beside it.
    beside = max(-start, 0)
    image = np.pad(image, ((0, 0), (0, 0), (beside, beside)))
    start = max(start, 0)
    reference = image[:, top : top + case.window[0], start : start + case.window[1]]
    mask = None
    if case.center:
        mask = np.zeros(columns, bool)
        mask[case.first :: 3] = True
        pad = (columns - case.center + 1) // 2
        mask[pad : pad + case.center] = True
        mask[:left] = mask[right:] = False
        kspace = np.where(mask, kspace, np.complex64(0))
    info = ScanInfo(
        volume_id=f"file_{name}",
        anatomy=case.anatomy,
        acquisition=case.acquisition,
        matrix=case.size,
        recon_matrix=case.window,
        padding=(left, right),
        acceleration=4 if case.says_center else None,
        num_center_lines=case.center if case.says_center else None,
    )
    volume = Volume(kspace=kspace, reference=None if case.center else reference, mask=mask, info=info)
    path = folder / f"file_{name}.h5"
    write_fastmri(path, volume)
    return path


def published_weights(network: str) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The state dict of a network by its published names, and the arguments that it was built with."""
    with np.load(HERE / f"fastmri_{network}.npz") as file:
        weights = {key[3:]: file[key] for key in file if key.startswith("w::")}
        return weights, json.loads(str(file["config"]))


def _main() -> None:
    import torch
    from fastmri.data.mri_data import SliceDataset
    from fastmri.data.subsample import create_mask_for_mask_type
    from fastmri.data.transforms import UnetDataTransform, VarNetDataTransform, center_crop
    from fastmri.models import Unet, VarNet

    @torch.inference_mode()
    def reconstruct(name: str, network: str, root: Path, **changes: bool) -> np.ndarray:
        case, (weights, config) = CASES[name], published_weights(network)
        model = (Unet if network == "unet" else VarNet)(**config, **changes).eval()
        model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        challenge = "singlecoil" if case.num_coils == 1 else "multicoil"
        draw = None
        if case.drawn:
            kind, fraction, acceleration = case.drawn
            draw = create_mask_for_mask_type(kind, [fraction], [int(acceleration)])
        transform = UnetDataTransform(challenge, draw) if network == "unet" else VarNetDataTransform(draw)
        images = []
        for batch in torch.utils.data.DataLoader(SliceDataset(root, challenge, transform)):
            if network == "unet":
                output = model(batch.image.unsqueeze(1)).squeeze(1)
                output = output * batch.std.view(-1, 1, 1) + batch.mean.view(-1, 1, 1)
            else:
                # A mask of a file comes with the number 0; scripts for inference pass no number then.
                number = int(batch.num_low_frequencies)
                output = model(batch.masked_kspace, batch.mask, number or None)
                rows, columns = (int(size) for size in batch.crop_size)
                narrow = output.shape[-1]
                output = center_crop(output, (narrow, narrow) if narrow < columns else (rows, columns))
            images.append(output[0].numpy())
        return np.stack(images)

    made = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_case(Path(folder), name)
            for network in case.networks:
                made[f"{name}/{network}"] = reconstruct(name, network, Path(folder))
            if "varnet" in case.networks:
                made[f"{name}/varnet_all"] = reconstruct(name, "varnet", Path(folder), mask_center=False)
    np.savez_compressed(HERE / "fastmri_pipeline.npz", **made)


if __name__ == "__main__":
    _main()
