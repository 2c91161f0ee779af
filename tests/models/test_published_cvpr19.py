import re

import pytest
import torch

from mrikit.errors import CheckpointError
from mrikit.models.published_cvpr19 import digits_q_state, evaluator_state, reconstructor_state, step_q_state

OTHER = {"conv.weight": torch.zeros(2, 2, 1, 1)}
EVALUATOR = {
    "evaluator.model.0.weight": torch.zeros(4, 16, 4, 4),
    "evaluator.model.2.weight": torch.zeros(4, 4, 4, 4),
    "evaluator.model.6.weight": torch.zeros(8, 4, 1, 1),
    "evaluator.model.6.bias": torch.arange(8.0),
}


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (reconstructor_state, "holds conv.weight, which no reconstructor of CVPR'19 has that grows by deconvolution"),
        (lambda state: evaluator_state(state, 8), "holds no evaluator of CVPR'19; found none of its names"),
        (step_q_state, "holds no DS-DDQN; found none of its names"),
        (digits_q_state, "holds no digits agent; found none of its names"),
    ],
)
def test_other_weights_are_refused(convert, message):
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        convert(OTHER)


def test_a_reconstructor_without_weights_is_refused():
    with pytest.raises(CheckpointError, match=r"^holds no reconstructor of CVPR'19; found none of its names$"):
        reconstructor_state({})


def test_an_evaluator_of_fewer_lines_is_refused():
    assert evaluator_state(EVALUATOR, 8)["output.bias"].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    message = "holds an evaluator of 16 inputs, too few for the 2 of each of 9 lines"
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        evaluator_state(EVALUATOR, 9)


def test_names_that_are_there_twice_are_taken_once():
    layers = {"linear1.0": 10, "hidden.0.0": 32, "hidden.1.0": 32, "output": 32}
    state = {}
    for name, size in layers.items():
        for prefix in ("", "model."):
            state |= {f"{prefix}{name}.weight": torch.zeros(4, size), f"{prefix}{name}.bias": torch.arange(4.0)}
    found = step_q_state(state)
    assert len(found) == 8
    assert found["layers.3.bias"].tolist() == [2, 3, 0, 1]
    assert found["layers.0.bias"].tolist() == [0, 1, 2, 3]
