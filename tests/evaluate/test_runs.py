import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from scored_study import line_mask, score

from mrikit.evaluate import Scores, best_models, compare_models, label_reconstructions, label_runs, summarise
from mrikit.evaluate.runs import run_settings
from mrikit.volumes.reconstruction import Reconstruction


def row(number, settings=(), mask="equispaced_fraction", **facts):
    return dataclasses.replace(score(number, facts.pop("ssim", 0.9), **facts), mask=mask, settings=tuple(settings))


def folder(*rows):
    return Scores(rows=rows, scorer="fastmri", data="/data", run={})


def labels(*folders):
    return [row.label for found in label_runs(folders) for row in found.rows]


def reconstruction(mask=None, weights_sha256=None, model_config=None, plan=None, **config):
    image = np.zeros((1, 8, 8), np.float32)
    return Reconstruction(
        image=image,
        zero_filled=image,
        volume_id="v0",
        mask=mask or line_mask(),
        model="cg_sense",
        weights_sha256=weights_sha256,
        config={"model_config": model_config or {}, "mask": plan, **config},
    )


def test_a_single_run_is_labelled_by_its_model():
    assert labels(folder(row(0, ["num_iterations=2"]), row(1, ["num_iterations=2"]))) == ["cg_sense", "cg_sense"]


def test_runs_of_one_model_are_labelled_by_the_settings_that_differ():
    first = folder(row(0, ["num_iterations=2", "damping=0.1"]))
    second = folder(row(0, ["num_iterations=9", "damping=0.1"]))
    third = folder(row(0, ["num_lines=4"], model="grappa"))
    assert labels(first, second, third) == ["cg_sense num_iterations=2", "cg_sense num_iterations=9", "grappa"]


def test_the_kind_of_mask_is_part_of_the_label_where_it_differs():
    assert labels(folder(row(0)), folder(row(0, mask="random"))) == ["cg_sense equispaced_fraction", "cg_sense random"]


def test_runs_at_different_accelerations_need_no_telling_apart():
    rows = [row(0, ["center_fraction=0.08"]), row(0, ["center_fraction=0.04"], acceleration=8.0)]
    assert labels(folder(*rows)) == ["cg_sense", "cg_sense"]


def test_two_runs_of_one_model_are_summarised_and_compared_apart():
    first = folder(*(row(n, ["num_iterations=2"], ssim=0.8) for n in range(2)))
    second = folder(*(row(n, ["num_iterations=9"], mask="random") for n in range(2)))
    rows = [row for found in label_runs([first, second]) for row in found.rows]
    assert [(entry.label, entry.num_volumes) for entry in summarise(rows)] == [
        ("cg_sense equispaced_fraction num_iterations=2", 2),
        ("cg_sense random num_iterations=9", 2),
    ]
    best = best_models(rows)[4.0]
    assert best == "cg_sense random num_iterations=9"
    (difference,) = compare_models(rows, best)
    assert difference.num_volumes == 2
    assert difference.ssim.mean == pytest.approx(-0.1)


def test_the_settings_of_a_run_are_its_model_its_planned_mask_and_its_weights():
    plan = {"kind": "equispaced_fraction", "acceleration": 4.0, "center_fraction": 0.08}
    made = reconstruction(weights_sha256="0123456789abcdef", model_config={"num_iterations": 9}, plan=plan)
    assert run_settings(made) == ("center_fraction=0.08", "num_iterations=9", "weights=01234567", "precision=fp32")


def test_a_plan_says_nothing_of_a_volume_that_kept_its_own_mask():
    plan = {"kind": "random", "acceleration": 4.0, "center_fraction": 0.08}
    assert run_settings(reconstruction(mask=line_mask(kind="stored"), plan=plan)) == ()


def test_reconstructions_are_labelled_like_rows():
    members = [reconstruction(model_config={"num_iterations": number}) for number in (2, 9)]
    assert label_reconstructions(members) == ["cg_sense num_iterations=2", "cg_sense num_iterations=9"]


def test_the_same_reconstruction_in_two_folders_counts_once():
    rows = [row for found in label_runs([folder(row(0), row(1)), folder(row(1))]) for row in found.rows]
    (summary,) = summarise(rows)
    assert (summary.num_volumes, summary.num_slices) == (2, 4)


@pytest.mark.parametrize("switch", ["flips", "whiten"])
def test_a_switch_tells_runs_apart(switch):
    plain, switched = reconstruction(**{switch: False}), reconstruction(**{switch: True})
    assert label_reconstructions([plain, switched]) == ["cg_sense", f"cg_sense {switch}=True"]


def test_dithered_images_are_a_run_of_their_own():
    members = [reconstruction(dither=strength) for strength in (0.0, 0.015)]
    assert label_reconstructions(members) == ["cg_sense", "cg_sense dither=0.015"]


def test_volumes_that_were_routed_to_different_weights_are_one_run():
    members = [
        reconstruction(weights_sha256=digest * 32, model_config={"num_cascades": count}, task="auto")
        for digest, count in (("ab", 2), ("cd", 3))
    ]
    assert label_reconstructions(members) == ["cg_sense", "cg_sense"]
    assert run_settings(members[0]) == ("task=auto", "precision=fp32")


def test_contrasts_of_one_file_with_equal_scores_count_each():
    first = folder(*(replace(row(0), volume_id=f"v0_contrast{number}") for number in range(2)))
    (summary,) = summarise([one for found in label_runs([first]) for one in found.rows])
    assert summary.num_volumes == 2
