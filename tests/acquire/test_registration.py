import importlib.metadata
import subprocess
import sys
import textwrap

import gymnasium

import mrikit.acquire
from mrikit.acquire import ENV_ID, environment, extra, register, vector


def run(code):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)


def test_a_process_that_imports_gymnasium_alone_makes_the_environment():
    done = run(
        f"""
        import gymnasium
        try:
            gymnasium.make("mrikit.acquire:{ENV_ID}", data="nowhere", budget=4, initial=4)
        except Exception as error:
            print(type(error).__name__, error)
        """
    )
    assert done.stderr == ""
    assert done.stdout.startswith("DataError nowhere")


def test_registering_loads_no_torch():
    done = run(
        "import sys, mrikit.acquire, gymnasium; print(mrikit.acquire.ENV_ID in gymnasium.registry, *sys.modules)"
    )
    assert done.stdout.startswith("True ")
    assert "torch" not in done.stdout.split()


def test_registering_twice_does_no_harm():
    assert mrikit.acquire.ENV_ID in gymnasium.registry
    spec = gymnasium.registry[ENV_ID]
    register()
    assert gymnasium.registry[ENV_ID] is spec


def test_the_entry_point_of_older_gymnasium_registers_too():
    (entry,) = importlib.metadata.entry_points(group="gymnasium.envs", name="__root__")
    assert entry.load() is register


def test_without_gymnasium_the_extra_is_named_on_one_line():
    done = run(
        """
        import sys
        sys.modules["gymnasium"] = None
        import mrikit.acquire
        from mrikit.errors import ConfigError
        try:
            import mrikit.acquire.extra
        except ConfigError as error:
            print(error)
        """
    )
    assert done.stderr == ""
    assert done.stdout == (
        "active acquisition needs packages that are not installed; `pip install 'mrikit[rl]'` (gymnasium)\n"
    )
    assert environment.gymnasium is vector.gymnasium is extra.gymnasium
