"""PromptMR, PromptMR+ and the challenge entry with weights of their published names (golden/promptmr_*.npz)."""

import json
import re

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models import build_model
from mrikit.models.published_promptmr import convert

FILES = {"promptmr": "promptmr_v1", "promptmr-plus": "promptmr_plus", "snu-challenge": "promptmr_snu_challenge"}
PARITY = 1e-6
"""Relative to the norm of the image."""


@pytest.fixture(scope="module", params=sorted(FILES))
def published(request, golden):
    """Source, arrays, published weights and arguments."""
    with np.load(golden / f"{FILES[request.param]}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file if key != "config"}
        return (
            request.param,
            arrays,
            {k[3:]: v for k, v in arrays.items() if k.startswith("w::")},
            json.loads(str(file["config"])),
        )


def reconstruct(source, arrays, weights, arguments, num_center_lines=0):
    tensors, settings = convert(source, weights, arguments)
    model = build_model("promptmr", settings)
    model.load_state_dict(tensors, strict=True)
    kspace = arrays["kspace"].unflatten(0, (settings["num_adjacent"], -1))[None]
    return model(kspace, arrays["mask"].view(1, 1, 1, 1, -1), torch.tensor([num_center_lines]))


@torch.inference_mode()
@pytest.mark.parametrize("num_center_lines", [0, 6], ids=["counted in the mask", "given"])
def test_the_image_equals_that_of_the_published_code(published, num_center_lines):
    assert relative_error(reconstruct(*published, num_center_lines), published[1]["output"]) < PARITY


@torch.inference_mode()
def test_other_weights_give_another_image(published):
    """Parity would be worth nothing if the output hardly depended on the weights, least of all on the coarsest."""
    source, arrays, weights, arguments = published
    coarsest = re.compile(r"cascades\.\d+\.model\.unet\.bottleneck\..*\.body\.\d\.weight")
    others = {name: -weight if coarsest.fullmatch(name) else weight for name, weight in weights.items()}
    image = reconstruct(source, arrays, others, arguments)
    assert relative_error(image, arrays["output"]) > PARITY / 2


def test_names_and_shapes_tell_what_the_arguments_do(published):
    source, _, weights, arguments = published
    assert convert(source, weights, {})[1] == convert(source, weights, arguments)[1]
