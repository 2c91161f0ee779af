import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
from phantoms import make_volume
from scored_study import line_mask, score
from snu_study import WINDOW, reference_of, write_leaderboard, write_leaderboard_recon

from mrikit.errors import DataError
from mrikit.evaluate import Scores, Unscored, evaluate, require_expected
from mrikit.volumes import write_snu
from mrikit.volumes.reconstruction import Reconstruction, write_reconstruction


def snu(number, ssim, anatomy="brain", acceleration=4.0):
    row = score(number, ssim, acceleration=acceleration)
    name = f"{anatomy}_test{number}"
    path = f"/data/acc{acceleration:g}/kspace/{name}.h5"
    return dataclasses.replace(row, scorer="snu-2025", volume_id=name, path=path, anatomy=anatomy)


def complete(num_volumes=2, ssim=0.9):
    return [
        snu(number, ssim, anatomy, acceleration)
        for anatomy in ("brain", "knee")
        for acceleration in (4.0, 8.0)
        for number in range(1, num_volumes + 1)
    ]


def scores_of(rows, unscored=()):
    return Scores(rows=tuple(rows), scorer="snu-2025", unscored=tuple(unscored), data="/data", run={})


def test_a_complete_set_is_as_expected():
    require_expected({"recon": scores_of(complete())}, 2)


def test_a_missing_volume_is_named_with_its_group():
    rows = [row for row in complete(29) if (row.volume_id, row.acceleration) != ("brain_test7", 4.0)]
    reason = Unscored(volume_id="brain_test7", path="/p", reconstruction=None, reason="damaged")
    with pytest.raises(DataError) as error:
        require_expected({"recon": scores_of(rows, [reason])}, 29)
    assert str(error.value) == (
        "recon: brain acc4: 29 expected, 28 found, lacks brain_test7; not scored: brain_test7 (damaged)"
    )


def test_a_group_without_any_volume_is_named():
    rows = [row for row in complete() if (row.anatomy, row.acceleration) != ("knee", 8.0)]
    with pytest.raises(DataError, match=r"^recon: knee acc8: 2 expected, 0 found$"):
        require_expected({"recon": scores_of(rows)}, 2)


def test_too_many_volumes_are_not_as_expected_either():
    with pytest.raises(DataError, match="brain acc4: 1 expected, 2 found; brain acc8: 1 expected, 2 found; knee"):
        require_expected({"recon": scores_of(complete(2))}, 1)


def test_of_rivals_each_has_to_be_complete():
    rivals = {"a": scores_of(complete()), "b": scores_of(complete()[:-1])}
    with pytest.raises(DataError, match=r"^b: knee acc8: 2 expected, 1 found, lacks knee_test2$"):
        require_expected(rivals, 2)


def test_a_rival_without_any_score_is_not_complete_because_the_other_one_is(study, tmp_path):
    data, recon = study
    shutil.copytree(recon, tmp_path / "rival")
    for path in (tmp_path / "rival").glob("*/*.h5"):
        with h5py.File(path, "a") as file:
            file["reconstruction"][...] = np.nan
    scores = {str(folder): evaluate(data, folder, scorer="snu-2025") for folder in (recon, tmp_path / "rival")}
    with pytest.raises(DataError, match=rf"^{tmp_path}/rival: brain acc4: 2 expected, 0 found; brain acc8: 2 expected"):
        require_expected(scores, 2)


@pytest.mark.parametrize("name", ["knee_test1", "left-knee.7"])
def test_a_volume_that_cannot_be_read_counts_to_what_its_name_and_its_folder_say(name):
    lost = Unscored(volume_id=name, path=f"/data/acc8/kspace/{name}.h5", reconstruction=None, reason="damaged")
    with pytest.raises(DataError) as error:
        require_expected({"recon": scores_of([snu(1, 0.9)], [lost])}, 1)
    assert str(error.value) == (
        f"recon: brain acc8: 1 expected, 0 found; knee acc4: 1 expected, 0 found; knee acc8: 1 expected, 0 found; "
        f"not scored: {name} (damaged)"
    )


def test_a_volume_of_which_nothing_is_known_does_not_pass_either():
    lost = Unscored(volume_id="file1", path="/data/file1.h5", reconstruction=None, reason="damaged")
    with pytest.raises(DataError, match=r"^recon: unknown anatomy acc4: 1 expected, 0 found; not scored: file1 \(dam"):
        require_expected({"recon": scores_of([snu(1, 0.9)], [lost])}, 1)
    with pytest.raises(
        DataError, match=r"^recon: unknown anatomy: 1 expected, 0 found; not scored: file1 \(damaged\)$"
    ):
        require_expected({"recon": scores_of([], [lost])}, 1)


def unscored_test_volume(folder, name, estimate):
    """A reconstruction by the mask of a file without a reference."""
    image = np.ones((2, *WINDOW), np.float32)
    made = Reconstruction(
        image=image, zero_filled=image, volume_id=name, mask=line_mask(estimate, "stored"), model="m", config={}
    )
    write_reconstruction(folder / f"{name}.h5", made)
    return lambda path: Unscored(volume_id=name, path=path, reconstruction=f"{name}.h5", reason="no reference")


def test_an_estimated_acceleration_of_a_volume_without_a_score_makes_no_group(tmp_path):
    lost = unscored_test_volume(tmp_path, "knee_test9", 6.93)
    require_expected({str(tmp_path): scores_of([snu(1, 0.9), snu(2, 0.9)], [lost("/data/test/file9.h5")])}, 2)
    # Nor an anatomy that has nothing else.
    with pytest.raises(DataError, match=r": brain acc4: 3 expected, 2 found, lacks brain_test3; not scored: knee_test"):
        require_expected({str(tmp_path): scores_of([snu(1, 0.9), snu(2, 0.9)], [lost("/data/test/file9.h5")])}, 3)


def test_an_estimated_acceleration_counts_where_a_score_or_a_folder_has_it(tmp_path):
    lost = unscored_test_volume(tmp_path, "knee_test9", 6.93)
    with pytest.raises(DataError, match=r": knee acc7: 1 expected, 0 found; not scored: knee_test9 \(no reference\)$"):
        require_expected(
            {str(tmp_path): scores_of([snu(1, 0.9, acceleration=7.0)], [lost("/data/test/knee_test9.h5")])}, 1
        )
    with pytest.raises(DataError, match=r": brain acc8: 1 .*; knee acc4: 1 expected, 0 found; knee acc8: 1 expected"):
        require_expected({str(tmp_path): scores_of([snu(1, 0.9)], [lost("/data/acc8/knee_test9.h5")])}, 1)


def test_where_there_are_estimates_only_each_anatomy_is_missed(tmp_path):
    lost = unscored_test_volume(tmp_path, "knee_test9", 6.93)
    with pytest.raises(DataError, match=r": knee: 1 expected, 0 found; not scored: knee_test9 \(no reference\)$"):
        require_expected({str(tmp_path): scores_of([], [lost("/data/test/knee_test9.h5")])}, 1)


@pytest.fixture
def study(tmp_path):
    data, recon = tmp_path / "leaderboard", tmp_path / "recon"
    write_leaderboard_recon(recon, data, write_leaderboard(data))
    return data, recon


def missing(data, *recon, num_volumes=2):
    """The groups that are told to be incomplete, without names."""
    scores = {str(folder): evaluate(data, folder, scorer="snu-2025") for folder in recon}
    with pytest.raises(DataError) as error:
        require_expected(scores, num_volumes)
    assert "\n" not in str(error.value)
    start = f"{', '.join(map(str, recon))}: "
    assert str(error.value).startswith(start)
    found = str(error.value).removeprefix(start).split("; ")
    return [one.split(",")[0].removesuffix(f": {num_volumes} expected") for one in found if " expected, " in one]


def test_an_anatomy_of_which_no_volume_has_a_score_is_missed(study):
    data, recon = study
    for path in data.glob("*/image/knee_*.h5"):
        path.unlink()
    assert missing(data, recon) == ["knee acc4", "knee acc8"]


def test_an_anatomy_of_which_nothing_was_reconstructed_is_missed(study):
    data, recon = study
    for path in recon.glob("*/knee_*.h5"):
        path.unlink()
    assert missing(data, recon) == ["knee acc4", "knee acc8"]


def test_an_acceleration_of_which_nothing_was_reconstructed_is_missed(study):
    data, recon = study
    shutil.rmtree(recon / "acc8")
    assert missing(data, recon) == ["brain acc8", "knee acc8"]


def test_an_acceleration_of_which_no_reconstruction_can_be_read_is_missed(study):
    data, recon = study
    for path in recon.glob("acc8/*.h5"):
        path.write_bytes(b"damaged")
    assert missing(data, recon) == ["brain acc8", "knee acc8"]


def test_an_acceleration_whose_volumes_are_gone_is_missed(study):
    data, recon = study
    shutil.rmtree(data / "acc8")
    assert missing(data, recon) == ["brain acc8", "knee acc8"]


@pytest.mark.parametrize("place", ["leaderboard", "recon"])
def test_an_acceleration_whose_folder_is_empty_is_missed(study, place):
    data, recon = study
    shutil.rmtree(data / "acc8")
    shutil.rmtree(recon / "acc8")
    (data.parent / place / "acc8" / "kspace").mkdir(parents=True)
    assert missing(data, recon) == ["brain acc8", "knee acc8"]


def test_what_nothing_tells_of_is_not_missed(study):
    data, recon = study
    shutil.rmtree(data / "acc8")
    shutil.rmtree(recon / "acc8")
    require_expected({str(recon): evaluate(data, recon, scorer="snu-2025")}, 2)


def test_folders_of_one_acceleration_each_are_complete_together(study, tmp_path):
    data, recon = study
    parts = []
    for name in ("acc4", "acc8"):
        parts.append(tmp_path / f"only-{name}")
        shutil.copytree(recon / name, parts[-1] / name)
        shutil.copy(recon / "reconstruct.json", parts[-1])
    require_expected({str(part): evaluate(data, part, scorer="snu-2025") for part in parts}, 2)
    assert missing(data, parts[0]) == ["brain acc8", "knee acc8"]
    (parts[0] / "acc4" / "brain_test2.h5").unlink()
    scores = {str(part): evaluate(data, part, scorer="snu-2025") for part in parts}
    with pytest.raises(
        DataError, match=r"lacks brain_test2; not scored: brain_test2 \(not reconstructed by cg_sense\)$"
    ):
        require_expected(scores, 2)


def test_full_scans_count_to_the_acceleration_that_they_were_to_be_undersampled_by(tmp_path):
    """Folders named acc4 say nothing there."""
    data, recon, references = tmp_path / "data", tmp_path / "recon", {}
    for number in (1, 2):
        name = f"brain_test{number}"
        reference = reference_of("brain", number, 2)
        volume = make_volume(2, num_coils=1, size=WINDOW, window=WINDOW)
        info = dataclasses.replace(volume.info, patient_id=None, acquisition=None, reference_max=float(reference.max()))
        volume = dataclasses.replace(volume, reference=reference, info=info, planned_mask=np.arange(WINDOW[1]) % 4 == 0)
        write_snu(data / "acc4", name, volume, image_grappa=reference)
        references[f"acc4/{name}"] = reference
    write_leaderboard_recon(recon, data, references, mask=line_mask(6.0))
    run = json.loads((recon / "reconstruct.json").read_text())
    (recon / "reconstruct.json").write_text(json.dumps(run | {"mask": {"kind": "random", "acceleration": 6.0}}))
    require_expected({str(recon): evaluate(data, recon, scorer="snu-2025")}, 2)
    (recon / "acc4" / "brain_test2.h5").unlink()
    assert missing(data, recon) == ["brain acc6"]
    with h5py.File(recon / "acc4" / "brain_test1.h5", "a") as file:
        file["reconstruction"][0, 0, 0] = np.nan
    assert missing(data, recon) == ["brain acc6"]
