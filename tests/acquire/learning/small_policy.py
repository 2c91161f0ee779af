"""A policy that learns for seconds on the study of seven tiny volumes."""

from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig, PolicyRunConfig
from mrikit.acquire.learning.train import train_policy
from mrikit.config import change_config
from mrikit.training import DataConfig, ExecutionConfig

Q = {"num_channels": 2, "num_layers": 2, "batch_size": 4, "replay_size": 24, "burn_in": 8, "target_steps": 3}
CONFIG = PolicyRunConfig(
    task="knee_acquire",
    size="tiny",
    policy="ss_ddqn",
    policy_config={**Q, "decay_steps": 20.0},
    reconstructor="zero_filled",
    episode=EpisodeConfig(num_given=2, budget=5),
    learning=LearningConfig(num_steps=60, num_rows=4, validation_steps=24, max_lr=1e-2, seed=3),
    data=DataConfig(matrix=(16, 16), num_validation=2),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""15 rounds, three episodes in each row; a replay that forgets, and two copies to the target before it ends."""


def learn(data, folder, rows=None, lines=None, on_row=None, config=CONFIG, start=None, trackers=(), **settings):
    """Learn with some settings changed, such as `learning__seed=4`."""

    def take(row, num_steps):
        if rows is not None:
            rows.append(row)
        if on_row:
            on_row(row, num_steps)

    return train_policy(
        change_config(config, {name.replace("__", "."): value for name, value in settings.items()}, "test"),
        data,
        folder,
        start=start,
        trackers=trackers,
        say=(lambda _line: None) if lines is None else lines.append,
        on_row=take,
    )
