"""Batches of a tiny scan."""

from dataclasses import replace

from phantoms import make_volume

from mrikit.data import MaskPlan, SliceDataset, choose_mask, prepare, undersample

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.1)


def make_batch(volumes, keys, num_adjacent=1, plan=PLAN, **options):
    """An Example with the masks of validation."""
    batch = SliceDataset(volumes, num_adjacent).read(keys)
    chosen = [volumes[key.volume] for key in keys]
    masks = [choose_mask(volume, plan) for volume in chosen]
    return undersample(prepare(batch, chosen, **options), masks)


def two_volumes():
    first, second = make_volume(num_slices=3), make_volume(num_slices=2, volume_id="file1000004")
    return [first, replace(second, kspace=2 * second.kspace, info=replace(second.info, padding=(6, 54)))]
