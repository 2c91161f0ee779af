"""SPIRiT, 15 x 640 x 368, R 4, against this project's GRAPPA, CG-SENSE and L1-wavelet; and the network's training step.

Classical: whole reconstructions, calibration included, with each method's default settings; NMSE and SSIM against the
root sum of squares of the full, noisy k-space. Network: forward and backward of five blocks, against the
learned-sampling study's formulation, two `torch.nn.Conv2d` of each of the real and the imaginary part.

python benchmarks/spirit.py [--num-times 3] [--size full|small]
"""

import argparse

import torch
from setting import make_scan, print_setting, print_table, take_turns
from torch import nn

from mrikit.metrics.ssim import ssim
from mrikit.models import build_model
from mrikit.models.output import compute
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c

SIZES = {"full": (15, 640, 368), "small": (15, 160, 184)}
METHODS = {
    "spirit": ("spirit", {}),
    "spirit, 10 iterations": ("spirit", {"num_iterations": 10}),
    "spirit, pocs, threshold .001": ("spirit", {"solver": "pocs", "threshold": 1e-3}),
    "grappa": ("grappa", {}),
    "cg_sense": ("cg_sense", {}),
    "l1_wavelet": ("l1_wavelet", {}),
    "zero_filled": ("zero_filled", {}),
}
STEPS = {
    "8 coils, 121 x 145, batch 4, 11 x 11": (8, 121, 145, 4, 11),
    "1 coil, 28 x 28, batch 128, 7 x 7": (1, 28, 28, 128, 7),
}
NUM_BLOCKS = 5


def main() -> None:
    """Print a table of the classical methods and one of each training step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-times", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="full")
    arguments = parser.parse_args()
    print_setting()
    compare_methods(SIZES[arguments.size], arguments.num_times)
    for name, sizes in STEPS.items():
        compare_steps(name, sizes, arguments.num_times)


def compare_methods(size: tuple[int, int, int], num_times: int) -> None:
    """Seconds and errors of whole reconstructions."""
    scan = make_scan(*size)
    mask = scan.mask[None, None, None]
    masked, num_center = torch.where(mask, scan.kspace[None], 0.0), torch.tensor([29])
    reference = rss(ifft2c(scan.kspace))[None]
    found: dict[str, torch.Tensor] = {}

    def run(name: str) -> None:
        model, settings = METHODS[name]
        with torch.inference_mode():
            found[name] = build_model(model, settings)(masked, mask, num_center)

    times = take_turns({name: lambda name=name: run(name) for name in METHODS}, num_times)
    notes = {
        name: f"NMSE {nmse(image, reference):.2e}, SSIM {similarity(image, reference):.4f}"
        for name, image in found.items()
    }
    print_table(f"reconstruction {' x '.join(map(str, size))}, R 4", times, [], notes)


def nmse(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Squared error over squared reference."""
    return float((image - reference).square().sum() / reference.square().sum())


def similarity(image: torch.Tensor, reference: torch.Tensor) -> float:
    """SSIM with the maximum of the reference."""
    return float(ssim(image, reference, reference.amax((-2, -1))).mean())


class StudyNet(nn.Module):
    """The study's formulation: two convolutions of each of two parts, masks multiplied in."""

    def __init__(self, num_coils: int, kernel_size: int) -> None:
        super().__init__()
        self.real, self.imag = (
            nn.ModuleList(
                nn.Conv2d(num_coils, num_coils, kernel_size, padding=kernel_size // 2, bias=False)
                for _ in range(NUM_BLOCKS)
            )
            for _ in range(2)
        )

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, coil, readout, phase) complex64 to (batch, coil, readout, phase, 2) float32."""
        measured = torch.view_as_real(masked_kspace)
        is_kept = mask.float().unsqueeze(-1)
        kspace = measured
        for real, imag in zip(self.real, self.imag, strict=True):
            with torch.no_grad():
                for conv in (real, imag):
                    conv.weight[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 0
            x, y = kspace[..., 0], kspace[..., 1]
            filled = torch.stack([real(x) - imag(y), real(y) + imag(x)], dim=-1)
            kspace = filled * (1 - is_kept) + measured * is_kept
        return kspace


def compare_steps(name: str, sizes: tuple[int, int, int, int, int], num_times: int) -> None:
    """Seconds of a forward and a backward pass."""
    num_coils, rows, columns, batch, kernel_size = sizes
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(batch, num_coils, rows, columns, dtype=torch.complex64, generator=generator)
    mask = torch.rand(batch, 1, rows, columns, generator=generator) < 0.25
    masked = torch.where(mask, kspace, 0.0)
    settings = {"num_coils": num_coils, "num_blocks": NUM_BLOCKS, "kernel": kernel_size, "zeroes_all_centers": True}
    ours, study = build_model("spirit_net", settings), StudyNet(num_coils, kernel_size)
    number = torch.zeros(batch, dtype=torch.int64)
    for block, real, imag in zip(ours.blocks, study.real, study.imag, strict=True):
        real.weight.data, imag.weight.data = block.weight_real.detach().clone(), block.weight_imag.detach().clone()

    def run_ours() -> None:
        output = compute(ours, masked, mask, number).kspace
        assert output is not None
        torch.view_as_real(output - kspace).square().mean().backward()

    def run_study() -> None:
        (study(masked, mask) - torch.view_as_real(kspace)).square().mean().backward()

    times = take_turns({"spirit_net": run_ours, "the study's formulation": run_study}, num_times)
    run_ours(), run_study()
    for block in ours.blocks:
        block.zero_grad()
    study.zero_grad()
    run_ours(), run_study()
    first, other = ours.blocks[0].weight_real.grad, study.real[0].weight.grad
    note = {"the study's formulation": f"gradients differ by {float((first - other).norm() / other.norm()):.1e}"}
    print_table(f"training step, {name}, {NUM_BLOCKS} blocks", times, [], note)


if __name__ == "__main__":
    main()
