import subprocess
import sys
import textwrap

import gymnasium
import pytest

import mrikit.acquire
from mrikit.acquire import ENV_ID, register


def run(code):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)


def test_a_process_that_imports_gymnasium_alone_makes_the_environment():
    done = run(
        f"""
        import sys, gymnasium
        spec = gymnasium.spec("mrikit.acquire:{ENV_ID}")
        assert "torch" not in sys.modules
        print(spec.entry_point, gymnasium.spec("{ENV_ID}").vector_entry_point)
        try:
            gymnasium.make("mrikit.acquire:{ENV_ID}", data="nowhere", budget=4, initial=4)
        except Exception as error:
            print(type(error).__name__, error)
        """
    )
    assert done.stderr == ""
    where, what = done.stdout.splitlines()
    assert where == "mrikit.acquire.environment:AcquireEnv mrikit.acquire.vector:AcquireVectorEnv"
    assert what.startswith("DataError nowhere")


def test_registering_twice_does_no_harm():
    assert mrikit.acquire.ENV_ID in gymnasium.registry
    spec = gymnasium.registry[ENV_ID]
    register()
    assert gymnasium.registry[ENV_ID] is spec


@pytest.mark.parametrize("module", ["environment", "vector"])
def test_without_gymnasium_the_extra_is_named_on_one_line(module):
    done = run(
        f"""
        import sys
        sys.modules["gymnasium"] = None
        from mrikit.errors import ConfigError
        import mrikit.acquire.rewards
        try:
            import mrikit.acquire.{module}
        except ConfigError as error:
            print(error)
        """
    )
    assert done.stderr == ""
    assert done.stdout == (
        "active acquisition needs packages that are not installed; `pip install 'mrikit[rl]'` (gymnasium)\n"
    )
