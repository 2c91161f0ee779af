"""Environment steps a second: `AcquireVectorEnv` with a batch of 16 against a loop over single images.

The peer is written here as the published system works, whose own code wants Python 3.7: for each image by itself the
mask, the inverse transform or the network, scikit-image's SSIM in the scored window, and copies of what is observed.
Both choose the same columns of the same slices, and take turns, so that a busy machine is busy for both. Their last
scores are compared.

python benchmarks/acquire.py [--num-threads 1] [--num-steps 8] [--num-times 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from setting import make_scan, print_setting
from skimage.metrics import structural_similarity

from mrikit.acquire.vector import AcquireVectorEnv
from mrikit.data import center_crop
from mrikit.masks.kinds.center import center_block
from mrikit.masks.mask import center_size
from mrikit.models import build_model
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.randomness import generator
from mrikit.recipes.choose import chosen_configs
from mrikit.volumes import ScanInfo, Volume

BATCH, GIVEN = 16, 30
CASES = {
    "zero-filled, 640 x 368": ("zero_filled", (1, 640, 368), (320, 320)),
    "zero-filled, 15 coils of 640 x 368": ("zero_filled", (15, 640, 368), (320, 320)),
    "zero-filled, 128 x 128": ("zero_filled", (1, 128, 128), (128, 128)),
    "zero-filled, digits of 28 x 28": ("zero_filled", (1, 28, 28), (28, 28)),
    "VarNet tiny, 4 coils of 128 x 128": ("varnet", (4, 128, 128), (128, 128)),
}
Reconstruct = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(kw_only=True)
class Times:
    """Seconds of one turn."""

    reset: float
    """From the call to what the first action is chosen by."""
    steps: float
    """Of all steps."""
    cpu: float
    """Of the processor, for all steps."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--num-steps", type=int, default=8)
    parser.add_argument("--num-times", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the name of a case")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.num_threads)
    print_setting()
    print(
        f"\n| batch of {BATCH} | steps a second | the loop's | times the loop | by CPU time | reset, ms | the loop's |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, (reconstructor, shape, window) in CASES.items():
        if arguments.only in name:
            print(row_of(name, reconstructor, shape, window, arguments.num_steps, arguments.num_times), flush=True)


def row_of(
    name: str,
    reconstructor: str,
    shape: tuple[int, int, int],
    window: tuple[int, int],
    num_steps: int,
    num_times: int,
) -> str:
    """One row of the table, medians over turns."""
    volume, given = make_volume(shape, window), min(GIVEN, shape[2] // 4)
    network = None if reconstructor == "zero_filled" else tiny_varnet()
    columns = chosen_columns(shape[2], given, num_steps)
    env = AcquireVectorEnv([volume], network or reconstructor, num_steps, given, num_envs=BATCH, data_range="slice")
    runs = [lambda: run_mrikit(env, columns), lambda: run_loop(volume, network or zero_filled, given, window, columns)]
    turns = [[run() for run in runs] for _ in range(num_times + 1)][1:]
    scores = [score for _, score in turns[-1]]
    assert np.allclose(*scores, atol=1e-4), "the two do not do the same"
    ours, theirs = ([turn[place][0] for turn in turns] for place in (0, 1))
    count = BATCH * num_steps

    def median(values: list[float]) -> float:
        return statistics.median(values)

    wall, cpu = (
        median([getattr(b, kind) / getattr(a, kind) for a, b in zip(ours, theirs, strict=True)])
        for kind in ("steps", "cpu")
    )
    speeds = (count / median([times.steps for times in both]) for both in (ours, theirs))
    resets = (1e3 * median([times.reset for times in both]) for both in (ours, theirs))
    cells = [*(f"{speed:.0f}" for speed in speeds), f"{wall:.1f}", f"{cpu:.1f}", *(f"{ms:.0f}" for ms in resets)]
    return f"| {name} | {' | '.join(cells)} |"


def run_mrikit(env: AcquireVectorEnv, columns: npt.NDArray[np.int64]) -> tuple[Times, npt.NDArray[np.float64]]:
    """An episode in every row, and the last scores."""
    start = time.perf_counter()
    env.reset(seed=1, options={"slice": list(range(BATCH))})
    env.action_masks()
    begun, cpu = time.perf_counter(), time.process_time()
    for actions in columns:
        infos = env.step(actions)[-1]
        env.action_masks()
    times = Times(reset=begun - start, steps=time.perf_counter() - begun, cpu=time.process_time() - cpu)
    return times, infos["final_info"]["ssim"]


@torch.inference_mode()
def run_loop(
    volume: Volume,
    reconstruct: Reconstruct,
    given: int,
    window: tuple[int, int],
    columns: npt.NDArray[np.int64],
) -> tuple[Times, npt.NDArray[np.float64]]:
    """The same, image by image."""
    start = time.perf_counter()
    kspace = [torch.from_numpy(volume.kspace[number]) for number in range(BATCH)]
    references = [center_crop(rss(ifft2c(one)).numpy(), window) for one in kspace]
    masks = [center_block(kspace[0].shape[-1], given) for _ in range(BATCH)]
    scores = np.zeros(BATCH)

    def look(row: int) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.bool_]]:
        mask, center = torch.from_numpy(masks[row]), torch.tensor([center_size(masks[row])])
        image = reconstruct(torch.where(mask, kspace[row], 0)[None], mask[None, None, None], center)[0].numpy()
        reference = references[row]
        scores[row] = structural_similarity(reference, center_crop(image, window), data_range=reference.max())
        return {"reconstruction": image.copy(), "mask": masks[row].astype(np.int8)}, ~masks[row]

    for row in range(BATCH):
        look(row)
    begun, cpu = time.perf_counter(), time.process_time()
    for actions in columns:
        for row, column in enumerate(actions):
            masks[row][column] = True
            look(row)
    times = Times(reset=begun - start, steps=time.perf_counter() - begun, cpu=time.process_time() - cpu)
    return times, scores


def zero_filled(masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
    """(batch, y, x) root sum of squares."""
    del mask, num_center_lines
    return rss(ifft2c(masked_kspace))


def tiny_varnet() -> torch.nn.Module:
    """The network of the recipe `knee_multicoil` at size tiny, untrained."""
    (config,) = chosen_configs("knee_multicoil", "tiny", None, [], {})
    torch.manual_seed(0)
    return build_model(config.model, {**config.model_config, "use_checkpoint": False}).eval()


def make_volume(shape: tuple[int, int, int], window: tuple[int, int]) -> Volume:
    """A slice for each row, of (coil, readout, phase)."""
    kspace = make_scan(*shape).kspace.numpy()
    scales = np.linspace(1, 2, BATCH, dtype=np.float32)[:, None, None, None]
    info = ScanInfo(volume_id="scan", matrix=shape[1:], recon_matrix=window, padding=(0, shape[2]))
    return Volume(kspace=scales * kspace, info=info)


def chosen_columns(width: int, given: int, num_steps: int) -> npt.NDArray[np.int64]:
    """(step, row) free columns, none twice in a row."""
    free = np.flatnonzero(~center_block(width, given))
    rng = generator(0, "acquire")
    return np.stack([rng.permutation(free)[:num_steps] for _ in range(BATCH)], 1)


if __name__ == "__main__":
    main()
