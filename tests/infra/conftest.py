"""What the estate's program declares for each stack, recorded once, and Microsoft's schemas of it."""

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from mrikit.errors import MrikitError
from mrikit.estate.declared import Record, record_program
from mrikit.estate.stack_file import read_stack

from .arm_schemas import ArmSchemas
from .engine.stack import Driver, Stack

_PROJECT = Path(__file__).parents[2]
STACKS = {
    "dev": "example",
    "prod": "example-group",
    "private": str(Path(__file__).parent / "stacks" / "Pulumi.private.yaml"),
    "managed": str(Path(__file__).parent / "stacks" / "Pulumi.managed.yaml"),
}
"""Name of each stack, and whose settings it has."""


class _Records(dict[str, Record]):
    """By stack; each takes seconds, so it is made when it is first asked for, and all workers of a run share it.

    Args:
        folder: Of this run; it holds what is shared.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._refused: dict[str, MrikitError] = {}

    def __missing__(self, stack: str) -> Record:
        if stack in self._refused:
            raise self._refused[stack]
        file = self._folder / f"{stack}.record"
        with FileLock(file.with_suffix(".lock")):
            if not file.exists():
                file.write_bytes(pickle.dumps(self._make(stack)))
        self[stack] = pickle.loads(file.read_bytes())
        return self[stack]

    def _make(self, stack: str) -> Record:
        found = read_stack(STACKS[stack], _PROJECT)
        try:
            return record_program(found.config, stack)
        except MrikitError as error:
            self._refused[stack] = error
            raise


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Record]:
    """What the program declares, by stack; ask for `records[stack]`."""
    own = tmp_path_factory.getbasetemp()
    return _Records(own if worker_id == "master" else own.parent)


@pytest.fixture(scope="session", params=STACKS)
def record(request: pytest.FixtureRequest, records: dict[str, Record]) -> Record:
    """What the program declares, for one stack after another."""
    return records[request.param]


@pytest.fixture(scope="session")
def dev_record(records: dict[str, Record]) -> Record:
    """What the program declares for the stack `dev`."""
    return records["dev"]


@pytest.fixture(scope="session")
def arm_schemas() -> ArmSchemas:
    """Microsoft's schemas of Azure's resources; CI fails without them, elsewhere their tests skip."""
    folder = Path(os.environ.get("MRIKIT_ARM_SCHEMAS", _PROJECT.parent / "shared" / "arm-schemas"))
    if folder.is_dir():
        return ArmSchemas(folder)
    reason = f"no schemas at {folder}; set MRIKIT_ARM_SCHEMAS"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pulumi() -> None:
    """Pulumi's command line is on the PATH; CI fails without it, elsewhere its tests skip."""
    if shutil.which("pulumi") is None:
        reason = "no pulumi on the PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def driver(pulumi: None) -> Iterator[Driver]:
    """The process in which programs run under the engine."""
    process = Driver()
    yield process
    process.close()


@pytest.fixture(scope="session")
def made(once: Callable[[str, Callable[[Path], object]], Path], driver: Driver) -> Stack:
    """The stack `dev` after its first `up`; whoever changes it copies it."""

    def make(folder: Path) -> None:
        done = Stack.make(driver, folder / "dev").up()
        assert done.error == "", done.error

    return Stack(driver, once("made", make) / "dev")


@pytest.fixture
def estate(made: Stack, tmp_path: Path) -> Stack:
    """That stack for one test, with a state and an Azure of its own."""
    return made.copy(tmp_path / "estate")


@pytest.fixture(scope="session")
def policies_python() -> Path:
    """The Python of the policy pack's own environment; CI fails without it, elsewhere its tests skip."""
    python = _PROJECT / "build" / "policies" / "bin" / "python"
    if not python.exists():
        reason = "no environment for the policy pack; `make policies` makes it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python
