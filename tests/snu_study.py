"""A tiny leaderboard on disk, in the SNU format, and reconstructions of a known quality."""

import dataclasses

import numpy as np
from phantoms import body, make_volume
from scored_study import line_mask, write_recon

from mrikit.volumes import write_snu

WINDOW = (96, 92)
MARGIN = 24


def reference_of(anatomy, number, num_slices):
    """(slice, y, x) a body in the scale of the challenge, and noise below the thresholds beside it."""
    rng = np.random.default_rng([number, len(anatomy)])
    # Wider than the mask's dilation, which otherwise reaches the edge and stays there.
    inside = np.pad(body((WINDOW[0] - 2 * MARGIN, WINDOW[1] - 2 * MARGIN)).abs().numpy(), MARGIN)
    slices = [inside * (1 + 0.1 * index) * 2e-4 for index in range(num_slices)]
    return (np.stack(slices) + 1e-5 * rng.random((num_slices, *WINDOW))).astype(np.float32)


def write_leaderboard(data, num_volumes=2, accelerations=(4, 8)):
    """`data/acc4/kspace/brain_test1.h5` and so on, brain of 2 slices and knee of 3; returns their references."""
    references = {}
    lines = np.arange(WINDOW[1]) % 4 == 0
    for acceleration in accelerations:
        for anatomy, num_slices in (("brain", 2), ("knee", 3)):
            for number in range(1, num_volumes + 1):
                name = f"{anatomy}_test{number}"
                volume = make_volume(num_slices, num_coils=1, size=WINDOW, window=WINDOW, mask=lines)
                reference = reference_of(anatomy, number, num_slices)
                info = dataclasses.replace(
                    volume.info, patient_id=None, acquisition=None, reference_max=float(reference.max()) * 1.25
                )
                volume = dataclasses.replace(volume, reference=reference, info=info)
                write_snu(data / f"acc{acceleration}", name, volume, image_grappa=reference)
                references[f"acc{acceleration}/{name}"] = reference
    return references


def write_leaderboard_recon(recon, data, references, **how):
    """Reconstructions with the masks of the files, at acc8 with more noise."""
    how = {"mask": line_mask(3.9, kind="stored"), "noise": 0.02, **how}
    for number, (name, reference) in enumerate(references.items()):
        (recon / name).parent.mkdir(parents=True, exist_ok=True)
        scale = 2 if name.startswith("acc8") else 1
        write_recon(recon, data, {name: reference}, seed=number, **{**how, "noise": scale * how["noise"]})
