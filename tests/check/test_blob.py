"""The same check on a real Blob container."""

from dataclasses import replace

import h5py
import pytest
from phantoms import make_volume

from mrikit.check import check_folder
from mrikit.storage import list_files, write_bytes
from mrikit.volumes import write_fastmri

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_a_container_is_checked_as_a_folder_is(blob_container, tmp_path):
    for number in range(3):
        volume = make_volume()
        info = replace(volume.info, patient_id=f"p{number}")
        path = tmp_path / f"file{number}.h5"
        write_fastmri(path, replace(volume, info=info))
        if number == 1:
            with h5py.File(path, "r+") as file:
                file["reconstruction_rss"][1] = 0
        write_bytes(blob_container / "val" / path.name, path.read_bytes())
    before = list_files(blob_container)
    report = check_folder(blob_container / "val", is_deep=True)
    assert [(finding.kind, finding.files, finding.what) for finding in report.findings] == [
        ("zero", ("file1.h5",), "slice 1 of the reference: zero everywhere")
    ]
    assert (report.num_volumes, report.num_slices, report.num_read, report.num_known) == (3, 6, 3, 0)
    write_bytes(blob_container / "val" / "file1.h5", (tmp_path / "file0.h5").read_bytes())
    again = check_folder(blob_container / "val", is_deep=True)
    assert again.findings == []
    assert (again.num_read, again.num_known) == (1, 2)
    assert {name for name in list_files(blob_container) if not name.endswith("index.jsonl")} == set(before)
