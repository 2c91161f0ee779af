"""Learn which line to measure next by MaskablePPO of sb3-contrib, on any data that mrikit reads.

    pip install 'mrikit[rl]' sb3-contrib
    mrikit simulate knee --volumes 10 --coils 1 --out data/knees
    python examples/maskable_ppo.py data/knees

Nothing here is of mrikit but the environment: `action_masks()` is what sb3-contrib asks for. It prints what the score
of held-out patients comes to, beside that of lines at random.
"""

import argparse

import numpy as np
import numpy.typing as npt
import sb3_contrib

from mrikit.acquire.environment import AcquireEnv


def main() -> None:
    """Train, then print two scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder of volumes")
    parser.add_argument("--budget", type=int, default=8, help="lines to choose in an episode")
    parser.add_argument("--initial", type=int, default=8, help="middle lines that are given")
    parser.add_argument("--num-steps", type=int, default=4096, help="lines to learn from")
    parser.add_argument("--num-episodes", type=int, default=20, help="to score by")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, held_out = (
        AcquireEnv(arguments.data, "zero_filled", arguments.budget, arguments.initial, split=split)
        for split in ("train", "val")
    )
    steps = min(256, arguments.num_steps)
    agent = sb3_contrib.MaskablePPO(
        "MultiInputPolicy", train, n_steps=steps, batch_size=min(64, steps), n_epochs=4, seed=arguments.seed
    )
    agent.learn(arguments.num_steps)
    rng = np.random.default_rng(arguments.seed)

    def learned(observation: dict[str, npt.NDArray[np.generic]], legal: npt.NDArray[np.bool_]) -> int:
        return int(agent.predict(observation, action_masks=legal, deterministic=True)[0])

    def at_random(_observation: dict[str, npt.NDArray[np.generic]], legal: npt.NDArray[np.bool_]) -> int:
        return int(rng.choice(np.flatnonzero(legal)))

    for name, choose in (("MaskablePPO", learned), ("random", at_random)):
        scores = []
        for number in range(arguments.num_episodes):
            observation, info = held_out.reset(seed=arguments.seed if number == 0 else None)
            is_over = False
            while not is_over:
                observation, _, is_over, _, info = held_out.step(choose(observation, held_out.action_masks()))
            scores.append(info["ssim"])
        print(f"{name}: SSIM {np.mean(scores):.4f} over {len(scores)} episodes")


if __name__ == "__main__":
    main()
