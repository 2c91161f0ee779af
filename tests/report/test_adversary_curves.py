import pytest
from trained_run import train_row, validation_row, write_run

from mrikit.report.adversary_curves import draw_adversary
from mrikit.report.page import write_report
from mrikit.report.training import find_training_runs

TERMS = [
    train_row(step, loss_predictor=0.7, loss_adversary=1 / step, loss_regulariser=0.01 * step) for step in range(1, 21)
]
JUDGED = [
    validation_row(
        epoch,
        0.9,
        accuracy=0.9 - 0.1 * epoch,
        logit_upright=-1 / epoch,
        logit_transposed=1 / epoch,
        abs_banding_db=4 / epoch,
        bounded_banding=4 / epoch,
    )
    for epoch in (1, 2)
]


def curves_of(folder, rows):
    write_run(folder / "run", rows)
    (run,) = find_training_runs(folder)
    return draw_adversary(run)


def test_a_run_against_an_adversary_has_its_terms_logits_and_banding_drawn(tmp_path):
    terms, logits, banding = curves_of(tmp_path, TERMS + JUDGED)
    assert terms.alt == ("Terms of the adversary, by step; at the end predictor 0.7, adversary 0.05, regulariser 0.2")
    assert logits.alt == "Logits, orientation told of 70 %, by epoch; at the end transposed 0.5, upright -0.5"
    assert banding.alt == "Banding, dB, by epoch; at the end banding 2, SSIM 0.9"
    assert sum(curve.width for curve in (terms, logits, banding)) == pytest.approx(1)


def test_a_run_that_was_not_validated_yet_has_its_terms_alone(tmp_path):
    (terms,) = curves_of(tmp_path, TERMS)
    assert terms.image.startswith("data:image/png;base64")


def test_a_run_without_an_adversary_has_none(tmp_path):
    assert curves_of(tmp_path, [train_row(1), validation_row(1, 0.8)]) == []


def test_the_page_has_a_second_row_of_curves(tmp_path):
    write_run(tmp_path / "run", TERMS + JUDGED)
    write_run(tmp_path / "plain", [train_row(1), validation_row(1, 0.8)])
    page = write_report(tmp_path).read_text()
    assert page.count('<div class="curves">') == 3
    assert 'alt="Terms of the adversary, by step' in page
