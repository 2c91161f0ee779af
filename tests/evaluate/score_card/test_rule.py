import numpy as np

from mrikit.evaluate.score_card import PLANS, is_chosen, reconstruct_words
from mrikit.masks import sample_mask, volume_rng
from mrikit.volumes import ScanInfo


def info(volume_id, patient_id=None):
    return ScanInfo(volume_id=volume_id, patient_id=patient_id, matrix=(8, 8), recon_matrix=(8, 8), padding=(0, 8))


def test_the_choice_of_rule_1_never_changes():
    assert [n for n in range(12) if is_chosen(info("any", f"p{n}"))] == [0, 1, 2, 4, 6, 8, 11]
    assert [n for n in range(12) if is_chosen(info(f"v{n}"))] == [4, 9, 10]


def test_all_volumes_of_a_patient_go_one_way():
    assert len({is_chosen(info(f"file{n}", "p7")) for n in range(20)}) == 1


def test_half_of_many_patients_are_chosen():
    assert 450 < sum(is_chosen(info("any", f"patient {n}")) for n in range(1000)) < 550


def test_the_masks_of_rule_1_never_change():
    found = [np.flatnonzero(sample_mask(plan, (16, 48), volume_rng("file1000001")).samples).tolist() for plan in PLANS]
    assert found == [[3, 8, 14, 20, 22, 23, 24, 25, 30, 36, 42], [3, 14, 23, 24, 26, 38]]


def test_the_options_make_the_plans_of_the_rule():
    assert reconstruct_words(PLANS[1]) == [
        *("--mask", "equispaced_fraction", "--acceleration", "8", "--center-fraction", "0.04")
    ]
