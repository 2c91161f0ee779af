"""Which lines to measure next: networks that look at an image, probabilities, and choices that gradients pass."""

import itertools
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from mrikit.errors import DataError
from mrikit.models.adaptive import Draw
from mrikit.models.samplers import estimators

_NUM_POOLS: Final = 4
_MOST_TRIES: Final = 1000
_ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"leaky_relu": nn.LeakyReLU, "elu": nn.ELU}


class LinePolicy(nn.Module):
    """A small convolutional network that gives each line of k-space a number, by the image so far.

    Args:
        matrix: Rows and columns of the image.
        num_channels: Channels at full resolution; doubled at each of the four poolings.
        fc_size: Neurons of the hidden linear layers.
        num_fc_layers: Linear layers.
        activation: Between these, "leaky_relu" or "elu".

    Source:
        Bakker et al., On learning adaptive acquisition policies for undersampled multi-coil MRI reconstruction, MIDL
        2022, arXiv:2203.16392.
    """

    def __init__(
        self, matrix: tuple[int, int], num_channels: int, fc_size: int, num_fc_layers: int, activation: str
    ) -> None:
        super().__init__()
        self.matrix = matrix
        widths = [2, *(num_channels * 2**level for level in range(_NUM_POOLS + 1))]
        self.convs = nn.ModuleList(nn.Conv2d(*pair, kernel_size=3, padding=1) for pair in itertools.pairwise(widths))
        rows, columns = (size // 2**_NUM_POOLS for size in matrix)
        sizes = [widths[-1] * rows * columns, *[fc_size] * (num_fc_layers - 1), matrix[1]]
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))
        self.activation = _ACTIVATIONS[activation]()

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, 2, y, x) float32, real and imaginary part, to (batch, phase) float32.

        Raises:
            DataError: An image of another matrix.
        """
        _require_size("rows and columns", tuple(channels.shape[-2:]), self.matrix)
        for level, conv in enumerate(self.convs):
            channels = nn.functional.relu(nn.functional.instance_norm(conv(channels)))
            channels = nn.functional.max_pool2d(channels, 2) if level else channels
        features = channels.flatten(1)
        for layer, linear in enumerate(self.linears):
            features = linear(self.activation(features) if layer else features)
        return features.float()


class LearnedVector(nn.Module):
    """The same numbers for every image, one for each line.

    Args:
        num_columns: Lines.
        head: "softplus" or "sigmoid", for which it begins at random near 1 or at 0.

    Source:
        Bahadir et al., Learning-based optimization of the under-sampling pattern in MRI (LOUPE), IPMI 2019, with the
        straight-through choices of Bakker et al. 2022.
    """

    def __init__(self, num_columns: int, head: str) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_columns))  # of one axis, so that it does not decay
        if head == "softplus":
            # Of equal numbers one would be the largest, and get all of its gradient.
            nn.init.normal_(self.logits, mean=1.0, std=0.1)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, 2, y, x), of which only the size counts, to (batch, phase) float32.

        Raises:
            DataError: Another number of columns.
        """
        _require_size("columns", (channels.shape[-1],), (self.logits.shape[-1],))
        return self.logits.expand(len(channels), -1)


def line_probabilities(
    logits: torch.Tensor, mask: torch.Tensor, num_lines: int, *, head: str, slope: float
) -> torch.Tensor:
    """How likely each line is to be chosen, `num_lines` of them on average.

    Args:
        logits: (batch, phase) float32, of a policy.
        mask: (batch, phase) float32, 1 where a line is taken. The gradient flows into it as published.
        num_lines: Lines to choose.
        head: "softplus" or "sigmoid".
        slope: Its sharpness.

    Returns:
        (batch, phase) float32 in [0, 1], 0 where taken.
    """
    if head == "softplus":
        chances = nn.functional.softplus(logits, beta=slope)
        largest = (chances * (1 - mask)).max(dim=-1, keepdim=True).values
        chances = chances / largest.clamp(min=torch.finfo(torch.float32).tiny)
    else:
        chances = torch.sigmoid(slope * logits)
    return estimators.rescale_to_budget(chances * (1 - mask), mask == 0, num_lines)


def draw_lines(
    probabilities: torch.Tensor, draws: Sequence[Draw], *, slope: float, clamps_gradient: bool
) -> torch.Tensor:
    """Draw each line by its probability, again and again until their number is the expected one.

    Args:
        probabilities: (batch, phase) float32, whose sums over lines are whole numbers.
        draws: One for each batch element, called once with the number of lines for each try.
        slope: The gradient is that of sigmoid(slope * (probability - uniform number)).
        clamps_gradient: Whether the gradient that comes in is cut at -1 and 1 first.

    Returns:
        (batch, phase) float32, 1 where a line was drawn.

    Raises:
        DataError: Probabilities that are no numbers, or that 1000 tries do not meet.
    """
    rows = probabilities.detach().cpu()
    uniforms = torch.stack([_accepted(row, draw) for row, draw in zip(rows, draws, strict=True)])
    chosen = estimators.draw(probabilities, uniforms.to(probabilities), slope)
    if clamps_gradient and chosen.requires_grad:
        chosen.register_hook(lambda gradient: gradient.clamp(-1, 1))
    return chosen


def likeliest_lines(probabilities: torch.Tensor, is_free: torch.Tensor, num_lines: int) -> torch.Tensor:
    """(batch, phase) float32, 1 on the `num_lines` free lines of the highest probability."""
    places = probabilities.masked_fill(~is_free, -1.0).topk(num_lines, dim=-1).indices
    return torch.zeros_like(probabilities).scatter(-1, places, 1.0)


def _accepted(row: torch.Tensor, draw: Draw) -> torch.Tensor:
    """The first (phase,) uniform numbers that choose as many lines as expected.

    It asks whether something is wrong and not whether all is right, because of tensors without memory nothing is: so
    `mrikit.forecast` can go through it.
    """
    expected = row.double().sum()
    if bool(expected.isnan() | expected.isinf()):
        raise DataError("a policy gives probabilities that are no numbers; are its weights and its k-space finite?")
    for _ in range(_MOST_TRIES):
        uniforms = torch.from_numpy(draw(len(row)))
        is_wrong = (row > uniforms).sum() != expected.round()
        if not bool(is_wrong):
            return uniforms
    raise DataError(
        f"{_MOST_TRIES} draws did not give {float(expected):.2f} lines; a policy's probabilities add up to a whole "
        f"number"
    )


def _require_size(what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        found_text, expected_text = (" x ".join(map(str, size)) for size in (found, expected))
        raise DataError(
            f"a policy chooses lines for {what} {expected_text}, found {found_text}; crop the data to that, or train "
            f"with another model_config.matrix"
        )
