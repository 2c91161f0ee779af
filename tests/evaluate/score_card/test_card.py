import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
from card_study import CHOSEN, change, write_card_study

from mrikit.errors import DataError
from mrikit.evaluate import evaluate, summarise
from mrikit.evaluate.score_card import find_needed, make_card, write_card
from mrikit.volumes.reconstruction import read_reconstruction


@pytest.fixture
def study(tmp_path):
    return write_card_study(tmp_path)


def card_of(data, *recon):
    return make_card(recon, find_needed(data))


def refusal(data, recon):
    with pytest.raises(DataError) as error:
        card_of(data, recon)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_table_has_the_means_that_evaluate_has_of_the_chosen_volumes(study):
    data, recon = study
    card = card_of(data, recon)
    for acceleration in (4.0, 8.0):
        rows = [row for row in evaluate(data, recon / f"acc{acceleration:g}").rows if row.volume_id in CHOSEN]
        (overall,) = summarise(rows)
        line, *others = [line for line in card["table"] if line["acceleration"] == acceleration]
        assert line["acquisition"] is None
        assert line["ssim"]["mean"] == pytest.approx(overall.ssim.mean, abs=1e-6)
        assert line["psnr"]["low"] == pytest.approx(overall.psnr.low, abs=1e-6)
        assert line["nmse"]["high"] == pytest.approx(overall.nmse.high, abs=1e-6)
        assert [(other["acquisition"], other["num_volumes"]) for other in others] == [
            ("CORPDFS_FBK", 1),
            ("CORPD_FBK", 3),
        ]
    assert card["left_out"] == {"not chosen by the rule, which takes one patient in 2": 2}


def test_it_names_files_with_digests_and_methods_with_their_cost(study):
    data, recon = study
    card = card_of(data, recon)
    assert [file["name"] for file in card["files"]] == [f"{name}.h5" for name in CHOSEN]
    content = (data / "v2.h5").read_bytes()
    assert (card["files"][2]["size_bytes"], card["files"][2]["sha256"]) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
    )
    run, _ = card["runs"]
    assert run["methods"] == [
        {"model": "cg_sense", "weights_sha256": None, "settings": {"model_config": {"num_iterations": 30}}}
    ]
    assert (run["seconds_per_slice"], run["num_timed_slices"]) == (0.125, 12)
    assert (run["peak_memory_bytes"], run["memory_of"], run["device"]) == (1000, "device", "H200")
    assert card["rule"]["masks"][1]["acceleration"] == 8.0


def test_the_same_files_give_the_same_bytes_wherever_they_lie(study, tmp_path):
    data, recon = study
    first = [path.read_bytes() for path in write_card(tmp_path / "a", card_of(data, recon))]
    moved = tmp_path / "another" / "place"
    shutil.copytree(data, moved / "multicoil_val")
    shutil.copytree(recon, moved / "recon")
    second = write_card(tmp_path / "b", card_of(moved, moved / "recon" / "acc8", moved / "recon" / "acc4"))
    assert [path.read_bytes() for path in second] == first
    assert str(tmp_path).encode() not in first[0]


def test_the_page_shows_the_table_and_asks_for_nothing_else(study, tmp_path):
    data, recon = study
    card = card_of(data, recon)
    card["files"][0]["acquisition"] = "<script>"
    text = write_card(tmp_path, card)[1].read_text()
    assert f"{card['table'][0]['ssim']['mean']:.4f} [" in text
    assert card["files"][0]["sha256"] in text
    assert "<script" not in text
    assert "http" not in text


def test_an_acceleration_that_nobody_reconstructed_is_told(tmp_path):
    data, recon = write_card_study(tmp_path, 3, (8.0,))
    card = card_of(data, recon)
    assert card["not_done"] == [4.0]
    assert {line["acceleration"] for line in card["table"]} == {8.0}


def test_a_missing_reconstruction_is_refused_by_name(study):
    data, recon = study
    (recon / "acc8" / "v1.h5").unlink()
    message = refusal(data, recon)
    assert message == (
        f"{recon}: lacks the 8x reconstruction of v1.h5; 3 of 4 volumes are there, and a card is made of all"
    )


def test_no_reconstruction_at_all_is_refused(study):
    data, recon = study
    shutil.rmtree(recon)
    recon.mkdir()
    assert "no reconstruction of the 4 volumes of score-card rule 1" in refusal(data, recon)


def test_a_mask_that_differs_by_a_line_is_refused_by_name(study):
    data, recon = study
    path = recon / "acc4" / "v4.h5"
    mask = read_reconstruction(path).mask
    samples = mask.samples.copy()
    samples[np.flatnonzero(~samples)[0]] = True
    change(path, mask=dataclasses.replace(mask, samples=samples))
    message = refusal(data, recon)
    assert message.startswith(f"{path}: its mask is not that of score-card rule 1: 1 of 28 lines differ")
    assert message.endswith("make it with --acceleration 4 --center-fraction 0.08")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"kind": "random"}, "made with a random mask at 4x; score-card rule 1 has equispaced_fraction at 4x or"),
        ({"kind": "full", "acceleration": 1.0}, "made with a full mask at 1x"),
        ({"acceleration": 6.0}, "made with a equispaced_fraction mask at 6x"),
        ({"samples": np.ones(26, bool)}, "have other sizes, 26 and 28"),
        ({"samples": np.ones((32, 28), bool)}, "have other sizes, 32 x 28 and 28"),
        ({"num_center_lines": 5}, "0 of 28 lines differ, and 5 centre lines instead of 2"),
    ],
)
def test_another_mask_than_that_of_the_rule_is_refused_by_name(study, facts, words):
    data, recon = study
    path = recon / "acc4" / "v0.h5"
    change(path, mask=dataclasses.replace(read_reconstruction(path).mask, **facts))
    message = refusal(data, recon)
    assert message.startswith(f"{path}: ")
    assert words in message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image: image[:1], "the reconstruction has 1 slices, the reference 2"),
        (lambda image: np.full_like(image, np.nan), "2 slices of the reconstruction hold NaN or Inf"),
        (np.zeros_like, "the reconstruction is zero everywhere"),
    ],
    ids=["other slices", "NaN", "zeros"],
)
def test_an_image_that_has_no_score_is_refused_by_name(study, spoil, words):
    data, recon = study
    path = recon / "acc8" / "v2.h5"
    change(path, image=spoil(read_reconstruction(path).image))
    message = refusal(data, recon)
    assert message.startswith(str(path))
    assert words in message
    assert message.endswith("score-card rule 1 needs a score of v2.h5")


def test_a_reconstruction_of_a_file_of_another_size_is_refused(study):
    data, recon = study
    change(recon / "acc4" / "v0.h5", source_signature=(7, 0))
    assert "acc4/v0.h5: made from a file of 7 bytes, " in refusal(data, recon)


def test_two_reconstructions_of_one_volume_are_refused(study):
    data, recon = study
    shutil.copytree(recon / "acc4", recon / "again")
    assert "acc4/v0.h5 and " in (message := refusal(data, recon))
    assert "again/v0.h5 are one volume at one acceleration" in message


def test_several_methods_at_one_acceleration_are_refused(study):
    data, recon = study
    change(recon / "acc4" / "v2.h5", weights_sha256="ab")
    assert "acc4/v2.h5 were made by other models, weights or settings" in refusal(data, recon)


def test_a_task_may_have_several_networks(study):
    data, recon = study
    for number, name in enumerate(CHOSEN):
        change(recon / "acc4" / f"{name}.h5", weights_sha256=str(number % 2), config={"task": "auto"})
    assert [method["weights_sha256"] for method in card_of(data, recon)["runs"][0]["methods"]] == ["0", "1"]


def test_volumes_that_were_trained_on_are_counted(study):
    data, recon = study
    path = recon / "acc4" / "v2.h5"
    change(path, config={**read_reconstruction(path).config, "is_trained_on": True})
    assert [run["num_trained_on"] for run in card_of(data, recon)["runs"]] == [1, 0]


def test_a_run_that_was_not_timed_says_so(study):
    data, recon = study
    run = recon / "acc4" / "reconstruct.json"
    run.write_text(json.dumps({"data": str(data), "model": "cg_sense"}))
    found, _ = card_of(data, recon)["runs"]
    assert (found["seconds_per_slice"], found["peak_memory_bytes"], found["device"]) == (None, None, None)
