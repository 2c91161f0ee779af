"""Whole files through imported networks, as fastMRI 0.3.0 reconstructs them (golden/fastmri_pipeline.py made them)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.checkpoint import import_weights
from mrikit.data import MaskPlan
from mrikit.physics.crop import center_crop
from mrikit.reconstruct import ReconstructConfig, build_method
from mrikit.reconstruct.volume import reconstruct_volume
from mrikit.volumes import open_volume

_SPEC = importlib.util.spec_from_file_location("fastmri_pipeline", Path(__file__).parent / "fastmri_pipeline.py")
pipeline = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(pipeline)

PARITY = 1e-5
"""Relative to the norm of the image."""
RUNS = [
    (name, f"{network}{ending}")
    for name, case in pipeline.CASES.items()
    for network in case.networks
    for ending in (("", "_all") if network == "varnet" else ("",))
]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Imported once: the method of each network."""
    folder = tmp_path_factory.mktemp("weights")

    def method(run):
        network, _, rest = run.partition("_")
        out = folder / f"{run}.safetensors"
        if not out.exists():
            weights, _config = pipeline.published_weights(network)
            state = {name: torch.from_numpy(value) for name, value in weights.items()}
            content = {"state_dict": state, "hyper_parameters": {"mask_center": False} if rest else {}}
            torch.save(content, folder / f"{run}.ckpt")
            import_weights(folder / f"{run}.ckpt", out, f"fastmri-{network}", {})
        return build_method(ReconstructConfig(weights=out))

    return method


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_a_file_is_reconstructed_as_fastmri_does(golden, tmp_path, imported, name, run):
    case = pipeline.CASES[name]
    plan = None
    if case.drawn:
        kind, fraction, acceleration = case.drawn
        plan = MaskPlan(kind=kind, center_fraction=fraction, acceleration=acceleration)
    with np.load(golden / "fastmri_pipeline.npz") as file:
        expected = torch.from_numpy(file[f"{name}/{run}"])
    volume = open_volume(pipeline.write_case(tmp_path, name))
    image = torch.from_numpy(reconstruct_volume(volume, imported(run), plan).image)
    if run == "unet":
        assert image.shape == expected.shape
    # fastMRI cuts an image that is narrower than the window to a square; all other pixels are the same.
    assert relative_error(center_crop(image, tuple(expected.shape[-2:])), expected) < PARITY


def test_the_order_of_operations_and_the_count_of_lines_show_in_the_image(golden):
    """Parity would be worth nothing if the cases did not tell them apart."""
    with np.load(golden / "fastmri_pipeline.npz") as file:
        centers = [torch.from_numpy(file[f"brain_test/{run}"]) for run in ("varnet", "varnet_all")]
    assert relative_error(*centers) > 100 * PARITY
