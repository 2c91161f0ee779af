"""What gymnasium is told of the environments.

gymnasium called functions that packages name under the entry point `gymnasium.envs` until it was 0.29; since 1.0 it
imports nothing by itself. `import mrikit.acquire` calls `register`, and so does the name with a module in front:
`gymnasium.make("mrikit.acquire:mrikit/Acquire-v0", ...)`.
"""

ENV_ID = "mrikit/Acquire-v0"
"""For `gymnasium.make` and `gymnasium.make_vec`."""


def register() -> None:
    """Make `gymnasium.make("mrikit/Acquire-v0", ...)` work.

    Raises:
        ModuleNotFoundError: gymnasium is not installed.
    """
    from gymnasium.envs.registration import register as register_env
    from gymnasium.envs.registration import registry

    if ENV_ID not in registry:
        register_env(
            id=ENV_ID,
            entry_point="mrikit.acquire.environment:AcquireEnv",
            vector_entry_point="mrikit.acquire.vector:AcquireVectorEnv",
        )
