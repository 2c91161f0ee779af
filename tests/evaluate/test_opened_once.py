"""How often scoring opens the files of volumes."""

from opened_files import counted_openings
from scored_study import write_recon, write_unreferenced, write_volumes

from mrikit.evaluate import evaluate
from mrikit.volumes import build_index


def test_every_volume_is_looked_into_once_and_its_reference_read_once(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    references = write_volumes(data)
    image = write_unreferenced(data)
    write_recon(recon, data, {**references, "test0": image})
    (recon / "v1.h5").unlink()
    with counted_openings(data) as opened:
        assert len(evaluate(data, recon).rows) == 2
    assert opened.as_hdf5 == {"v0.h5": 1, "v1.h5": 1, "v2.h5": 1, "test0.h5": 1}
    assert opened.for_bytes == {"v0.h5": 1, "v2.h5": 1}
    build_index(data)
    with counted_openings(data) as opened:
        evaluate(data, recon)
    assert not opened.as_hdf5
    assert opened.for_bytes == {"v0.h5": 1, "v2.h5": 1}
