from dataclasses import replace
from pathlib import Path

import pytest

from mrikit.errors import DataError
from mrikit.volumes import ScanInfo
from mrikit.volumes.anatomy import anatomy_of

SILENT = ScanInfo(volume_id="file1000001", matrix=(64, 60), recon_matrix=(40, 44), padding=(0, 60))


@pytest.mark.parametrize(
    ("facts", "anatomy"),
    [
        ({}, None),
        ({"anatomy": "knee"}, "knee"),
        ({"anatomy": "BRAIN"}, "brain"),
        ({"anatomy": "Head"}, "brain"),
        ({"anatomy": "right knee"}, "knee"),
        ({"anatomy": "abdomen"}, "abdomen"),
        ({"anatomy": "knee", "acquisition": "AXT2"}, "knee"),
        ({"acquisition": "AXT2"}, "brain"),
        ({"acquisition": "CORPD_FBK"}, "knee"),
        ({"acquisition": "t2_knee_fast"}, "knee"),
        ({"acquisition": "unknown"}, None),
        ({"volume_id": "brain_acc4_1"}, "brain"),
        ({"volume_id": "knee_test12"}, "knee"),
        ({"volume_id": "12KNEE.left"}, "knee"),
        ({"volume_id": "kneeling"}, None),
        ({"volume_id": "brain-and-knee"}, None),
        ({"volume_id": "brain-and-knee", "anatomy": "knee"}, "knee"),
        ({"volume_id": "knee7", "anatomy": "knee"}, "knee"),
        ({"volume_id": "knee7", "anatomy": "phantom"}, "phantom"),
    ],
)
def test_the_anatomy_is_that_of_the_header_then_the_protocol_then_the_name(facts, anatomy):
    assert anatomy_of(replace(SILENT, **facts)) == anatomy


@pytest.mark.parametrize(
    ("volume_id", "facts", "stated"),
    [("knee_1", {"anatomy": "brain"}, "brain"), ("a-brain.2", {"acquisition": "CORPD_FBK"}, "knee")],
)
def test_a_name_that_contradicts_the_header_is_one_clear_line(volume_id, facts, stated):
    named = "knee" if stated == "brain" else "brain"
    info = replace(SILENT, volume_id=volume_id, source=Path(f"/data/{volume_id}.h5"), **facts)
    message = rf"^/data/{volume_id}.h5: the name says {named} and the header {stated}; rename the file, or mend its he"
    with pytest.raises(DataError, match=message) as caught:
        anatomy_of(info)
    assert "\n" not in str(caught.value)
