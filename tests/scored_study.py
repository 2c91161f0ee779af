"""A tiny study on disk: volumes in the fastMRI format and reconstructions of a known quality."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from phantoms import make_volume

from mrikit.evaluate import VolumeScore
from mrikit.masks import Mask
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import Reconstruction, write_reconstruction

WINDOW = (24, 20)


def write_volumes(data, num_volumes=3, num_slices=2, acquisitions=("CORPD_FBK", "CORPDFS_FBK")):
    """Fully sampled volumes `v0.h5`, `v1.h5`, ...; returns the reference of each."""
    references = {}
    for number in range(num_volumes):
        volume = make_volume(num_slices, num_coils=2, size=(32, 28), window=WINDOW, volume_id=f"v{number}")
        scale = 1 + number
        acquisition = acquisitions[number % len(acquisitions)]
        info = dataclasses.replace(volume.info, acquisition=acquisition, patient_id=f"p{number}")
        volume = dataclasses.replace(
            volume, kspace=volume.kspace * scale, reference=volume.reference * scale, info=info
        )
        write_fastmri(data / f"v{number}.h5", volume)
        references[f"v{number}"] = volume.reference
    return references


def write_unreferenced(data, name="test0"):
    """An undersampled volume as in a test set, without a reference."""
    mask = np.arange(28) % 2 == 0
    write_fastmri(data / f"{name}.h5", make_volume(2, num_coils=2, size=(32, 28), window=WINDOW, mask=mask))
    return np.ones((2, *WINDOW), np.float32)


def line_mask(acceleration=4.0, kind="equispaced_fraction"):
    """A mask whose facts are easy to recognise."""
    return Mask(
        samples=np.arange(28) % 4 == 0,
        kind=kind,
        acceleration=acceleration,
        true_acceleration=acceleration - 0.5,
        num_center_lines=2,
    )


def write_recon(recon, data, images, model="cg_sense", mask=None, noise=0.05, seed=0, config=None, **facts):
    """A folder as `mrikit reconstruct` leaves it: every image with noise relative to its maximum."""
    recon.mkdir(parents=True, exist_ok=True)
    run = {"version": "0", "data": str(Path(data).resolve()), "model": model, "mask": None, "slices_per_second": 8.0}
    (recon / "reconstruct.json").write_text(json.dumps(run | facts))
    rng = np.random.default_rng(seed)
    for volume_id, image in images.items():
        noisy = image + noise * image.max() * rng.standard_normal(image.shape)
        worse = image + 4 * noise * image.max() * rng.standard_normal(image.shape)
        reconstruction = Reconstruction(
            image=np.abs(noisy).astype(np.float32),
            zero_filled=np.abs(worse).astype(np.float32),
            volume_id=volume_id,
            mask=mask or line_mask(),
            model=model,
            config=config or {},
        )
        write_reconstruction(recon / f"{volume_id}.h5", reconstruction)


def score(
    number, ssim, model="cg_sense", acceleration=4.0, acquisition="CORPD_FBK", psnr=None, patient_id=None, label=None
):
    """A row without files."""
    return VolumeScore(
        volume_id=f"v{number}",
        path=f"/data/v{number:04}.h5",
        reconstruction=f"v{number:04}.h5",
        label=label or model,
        model=model,
        settings=("num_iterations=30",),
        patient_id=patient_id,
        acquisition=acquisition,
        anatomy="knee",
        mask="equispaced",
        acceleration=acceleration,
        true_acceleration=acceleration,
        num_slices=2,
        ssim=ssim,
        psnr=30 + ssim if psnr is None else psnr,
        nmse=1 - ssim,
        mse=1e-3,
        slice_ssim=(ssim + 0.01, ssim - 0.01),
        scorer="fastmri",
    )
