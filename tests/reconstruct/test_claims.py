"""Of several processes that write one folder, each volume is made by one."""

import subprocess
import sys
import threading

import pytest
from phantoms import make_volume
from waiting import until

from mrikit.data import MaskPlan
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.reconstruct.claims import claimed
from mrikit.volumes import write_fastmri

CONFIG = ReconstructConfig(model="zero_filled", mask=MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2))
HOLDER = """
import sys
from pathlib import Path
from mrikit.reconstruct.claims import claimed
with claimed(Path(sys.argv[1]), Path(sys.argv[1]) / "v0.h5", waits=False) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path):
    for number in range(3):
        write_fastmri(
            tmp_path / "data" / f"v{number}.h5", make_volume(1, 2, (32, 28), (24, 20), volume_id=f"v{number}")
        )
    return tmp_path / "data"


def hold(out):
    """Another process that is busy with the first volume until its input ends."""
    out.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert until(child.stdout.readline, child) == "True\n"
    return child


def names(out):
    return sorted(path.name for path in out.iterdir())


def test_two_at_once_make_each_volume_once(data, tmp_path):
    made, meeting = [], threading.Barrier(2)

    def work():
        summary = reconstruct_folder(data, tmp_path / "out", CONFIG, on_start=lambda _model, _work: meeting.wait(60))
        made.append(summary.num_volumes)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == 3
    assert names(tmp_path / "out") == ["reconstruct.json", "v0.h5", "v1.h5", "v2.h5"]


@pytest.mark.slow
def test_what_another_process_is_busy_with_comes_last_and_is_waited_for(data, tmp_path):
    out = tmp_path / "out"
    child = hold(out)
    done, waited = [], []

    def wait(count):
        waited.append((count, names(out)))
        child.communicate()  # the other process ends without a result

    summary = reconstruct_folder(
        data, out, CONFIG, on_slice=lambda volume_id, _count: done.append(volume_id), on_wait=wait
    )
    assert done == ["v1", "v2", "v0"]
    assert [(count, [name for name in found if name.endswith(".h5")]) for count, found in waited] == [
        (1, ["v1.h5", "v2.h5"])
    ]
    assert summary.num_volumes == 3
    assert names(out) == ["reconstruct.json", "v0.h5", "v1.h5", "v2.h5"]


@pytest.mark.slow
def test_a_process_that_was_killed_holds_nothing(data, tmp_path):
    child = hold(tmp_path / "out")
    child.kill()
    child.communicate()
    waited = []
    assert reconstruct_folder(data, tmp_path / "out", CONFIG, on_wait=waited.append).num_volumes == 3
    assert not waited
    assert names(tmp_path / "out") == ["reconstruct.json", "v0.h5", "v1.h5", "v2.h5"]


def test_a_folder_that_takes_no_lock_keeps_nobody_out(tmp_path):
    with claimed(tmp_path / "file" / "out", tmp_path / "v0.h5", waits=False) as is_ours:
        assert is_ours
