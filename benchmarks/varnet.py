"""VarNet's training step and its peak memory: mrikit against fastMRI, same weights and data.

A step is the forward pass, the SSIM loss of each side's own, the backward pass and AdamW. Each variant runs in a
process of its own and they take turns: one step to warm up, then the timed ones. Memory is the peak of the whole
process, Python and torch included (about 0.4 GB); on a GPU what torch allocated.

python benchmarks/varnet.py [--size small] [--device cuda] [--num-rounds 3] [--num-times 2]
"""

import json
import statistics
from collections.abc import Callable

import fastmri
import torch
from varnet_setting import Variant, build, clock, make_parser, median_seconds, peak_memory_gb, take_turns_in_processes

from mrikit.metrics import ssim_loss

VARIANTS = {
    "fastmri": Variant(peer=True),
    "fastmri, bf16": Variant(peer=True, rounded=True),
    "mrikit": Variant(),
    "mrikit, checkpoints": Variant(use_checkpoint=True),
    "mrikit, bf16": Variant(rounded=True),
    "mrikit, bf16, checkpoints": Variant(rounded=True, use_checkpoint=True),
}


def main() -> None:
    """Print one table, or one variant's numbers as JSON."""
    arguments = make_parser(__doc__, VARIANTS).parse_args()
    if arguments.variant:
        variant = VARIANTS[arguments.variant]
        step = make_step(variant, build(variant, arguments.size, arguments.device, arguments.state))
        losses: list[torch.Tensor] = []
        seconds = [clock(lambda: losses.append(step()), arguments.device) for _ in range(1 + arguments.num_times)]
        reply = {
            "seconds": seconds[1:],
            "memory_gb": peak_memory_gb(arguments.device),
            "losses": [losses[0].item(), losses[-1].item()],
        }
        print(json.dumps(reply))
        return
    replies = take_turns_in_processes(arguments, VARIANTS)
    seconds = {name: median_seconds(turns) for name, turns in replies.items()}
    memory = {name: statistics.median(turn["memory_gb"] for turn in turns) for name, turns in replies.items()}
    print("\n| training step | s | faster | CPU s | faster | peak memory, GB | of fastmri's | first loss | last loss |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, turns in replies.items():
        speeds = " | ".join(
            f"{t:.2f} | {peer / t:.2f}" for t, peer in zip(seconds[name], seconds["fastmri"], strict=True)
        )
        losses = " | ".join(f"{loss:.6f}" for loss in turns[0]["losses"])
        print(f"| {name} | {speeds} | {memory[name]:.2f} | {memory[name] / memory['fastmri']:.2f} | {losses} |")


def make_step(variant: Variant, problem) -> Callable[[], torch.Tensor]:
    """One optimizer step, which returns its loss."""
    optimizer = torch.optim.AdamW(problem.network.parameters(), lr=3e-4)
    reference, data_range = problem.reference, problem.reference.amax().view(1)
    fastmri_loss = fastmri.SSIMLoss().to(problem.device)

    def step() -> torch.Tensor:
        image = problem.reconstruct()
        if variant.peer:
            loss = fastmri_loss(image[:, None], reference[:, None], data_range)
        else:
            loss = ssim_loss(image, reference, data_range)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


if __name__ == "__main__":
    main()
