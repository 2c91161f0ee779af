"""Volumes and reconstructions that a score card may be made of, in a few kilobytes."""

import dataclasses
import json

from scored_study import write_recon, write_volumes

from mrikit.data import choose_mask
from mrikit.evaluate.score_card import PLANS
from mrikit.volumes import open_volume
from mrikit.volumes.reconstruction import read_reconstruction, write_reconstruction

CHOSEN = ("v0", "v1", "v2", "v4")
"""Of patients p0 to p5, those that the rule chooses."""


def write_card_study(folder, num_volumes=6, accelerations=(4.0, 8.0)):
    """`data/v0.h5` and so on, `recon/acc4/v0.h5` and so on with the masks of the rule; returns data and recon."""
    data, recon = folder / "data", folder / "recon"
    references = write_volumes(data, num_volumes)
    for plan in PLANS:
        if plan.acceleration in accelerations:
            for number, (name, reference) in enumerate(references.items()):
                write_recon(
                    recon / f"acc{plan.acceleration:g}",
                    data,
                    {name: reference},
                    mask=choose_mask(open_volume(data / f"{name}.h5"), plan),
                    noise=0.01 * plan.acceleration,
                    seed=number,
                    config={"model_config": {"num_iterations": 30}, "weights": f"{folder}/w.safetensors"},
                    seconds=1.5,
                    num_slices=12,
                    peak_memory_bytes=1000,
                    memory_of="device",
                    device="H200",
                )
    return data, recon


def change(path, **facts):
    """Rewrite a reconstruction with other fields."""
    write_reconstruction(path, dataclasses.replace(read_reconstruction(path), **facts))


def read_card(folder):
    """The card that a command wrote."""
    return json.loads((folder / "score-card.json").read_text())
