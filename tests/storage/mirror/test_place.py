"""What is said of pushes that fail while the work goes on."""

import warnings

import pytest
from storage.folders import contents, wait_for, write

import mrikit.storage.mirror.place
from mrikit.errors import StorageError
from mrikit.storage import mirrored
from mrikit.storage.blob import container_client
from mrikit.storage.mirror.mirror import Mirror

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def run(run, monkeypatch):
    monkeypatch.setattr(mrikit.storage.mirror.place, "_SECONDS_BETWEEN_PUSHES", 0.02)
    return run


@pytest.fixture
def failure(monkeypatch):
    """What every upload fails with, while there is something in the list."""
    errors, write_stream = [], mrikit.storage.mirror.mirror.write_stream

    def fail(path, *arguments, **settings):
        if errors:
            raise errors[0]
        return write_stream(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "write_stream", fail)
    return errors


def test_pushes_that_fail_are_warned_of_once_and_so_is_their_recovery(run, failure):
    failure.append(StorageError("the network is down"))
    with warnings.catch_warnings(record=True) as caught, mirrored(run) as place:
        warnings.simplefilter("always")
        write(place.folder, "a", "1")
        wait_for(lambda: caught)
        pushes = []
        push = Mirror.push
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Mirror, "push", lambda mirror: (pushes.append(mirror), push(mirror)))
            wait_for(lambda: len(pushes) > 3)
        place.check()  # it may work the next time
        failure.clear()
        wait_for(lambda: len(caught) == 2)
        write(place.folder, "a", "2")
        wait_for(lambda: contents(run) == {"a": "2"})
    assert [str(one.message) for one in caught] == [
        "the network is down; the work goes on, and mrikit tries again",
        f"{run}: reached again; everything that was made so far is there",
    ]


class _RefusedError(Exception):
    status_code = 403


def work_until_told(run, spoil):
    """Go on until `check` says that it is of no use."""
    with mirrored(run) as place:
        write(place.folder, "a", "1")
        spoil()
        wait_for(place.check)  # it never says yes


def test_refused_access_stops_long_work_soon(run, failure):
    refused = StorageError("access was refused")
    refused.__cause__ = _RefusedError()
    with (
        pytest.warns(UserWarning, match=f"^access was refused; not at {run} yet: a; the same command uploads them"),
        pytest.raises(StorageError, match=r"^access was refused$"),
    ):
        work_until_told(run, lambda: (failure.append(refused), write(Mirror(run).folder, "a", "2")))


def test_a_container_that_is_gone_stops_long_work_soon(run):
    message = f"there is no container '{run.container}'"
    with (
        pytest.warns(UserWarning, match=f"{message}.*; not at {run} yet: a; the same command uploads them"),
        pytest.raises(StorageError, match=message),
    ):
        work_until_told(
            run, lambda: (container_client(run.container).delete_container(), write(Mirror(run).folder, "a", "2"))
        )
