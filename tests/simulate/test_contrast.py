import numpy as np
import pytest

from mrikit.randomness import generator
from mrikit.simulate.contrast import ACQUISITIONS, Acquisition, signal
from mrikit.simulate.tissue import TISSUES_3T, Tissue, patient_tissues


def signals(acquisition, field_strength_t=3.0, patient=0):
    tissues = patient_tissues(field_strength_t, generator(patient, "tissues"))
    return {name: signal(tissue, ACQUISITIONS[acquisition]) for name, tissue in tissues.items()}


def test_a_long_repetition_and_a_short_echo_show_the_proton_density():
    density = Acquisition(name="pd", repetition_time_ms=1e9, echo_time_ms=0, snr=1)
    assert signal(Tissue(proton_density=0.7, t1_ms=900, t2_ms=80), density) == pytest.approx(0.7)


def test_an_inversion_at_t1_times_log_2_gives_no_signal():
    null = Acquisition(name="ir", repetition_time_ms=1e9, echo_time_ms=0, inversion_time_ms=900 * np.log(2), snr=1)
    assert signal(Tissue(proton_density=1, t1_ms=900, t2_ms=80), null) == pytest.approx(0, abs=1e-12)


def test_signal_falls_by_e_over_one_t2_and_recovers_by_1_minus_1_over_e_over_one_t1():
    one = Acquisition(name="se", repetition_time_ms=900, echo_time_ms=80, snr=1)
    expected = (1 - np.exp(-1)) * np.exp(-1)
    assert signal(Tissue(proton_density=1, t1_ms=900, t2_ms=80), one) == pytest.approx(expected)


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
@pytest.mark.parametrize(
    ("acquisition", "order"),
    [
        ("AXT2", ("csf", "gray_matter", "white_matter", "muscle", "cortical_bone")),
        ("AXFLAIR", ("gliosis", "gray_matter", "csf")),
        ("AXT1", ("subcutaneous_fat", "white_matter", "gray_matter", "csf")),
        ("AXT1POST", ("tumor_rim", "white_matter", "tumor_core")),
        ("CORPD_FBK", ("subcutaneous_fat", "yellow_marrow", "cartilage", "muscle", "meniscus", "cortical_bone")),
        ("CORPDFS_FBK", ("joint_fluid", "edema", "cartilage", "yellow_marrow", "cortical_bone")),
    ],
)
def test_tissues_are_as_bright_as_on_a_scanner(acquisition, order, field_strength_t):
    for patient in range(5):
        found = signals(acquisition, field_strength_t, patient)
        assert sorted(order, key=found.get, reverse=True) == list(order)


def test_fluid_vanishes_in_flair_and_fat_in_fat_suppression():
    assert signals("AXFLAIR")["csf"] < 0.15 * signals("AXT2")["csf"]
    fat = "subcutaneous_fat"
    assert signals("CORPDFS_FBK")[fat] < 0.25 * signals("CORPD_FBK")[fat]
    assert signals("CORPDFS_FBK")["joint_fluid"] > 0.9 * signals("CORPD_FBK")["joint_fluid"]


def test_contrast_agent_brightens_vessels_and_tumor_rims_only():
    before, after = signals("AXT1"), signals("AXT1POST")
    assert after["venous_blood"] > 1.5 * before["venous_blood"]
    assert after["tumor_rim"] > 1.5 * before["tumor_rim"]
    assert after["csf"] == before["csf"]


def test_patients_differ_by_a_few_percent_and_t1_is_shorter_at_low_field():
    tables = [patient_tissues(3.0, generator(patient, "tissues")) for patient in range(40)]
    t1 = np.array([[table[name].t1_ms / TISSUES_3T[name].t1_ms for name in TISSUES_3T] for table in tables])
    assert np.log(t1).std() == pytest.approx(0.04, rel=0.2)
    low = patient_tissues(1.5, generator(0, "tissues"))
    assert low["white_matter"].t1_ms == pytest.approx(0.78 * tables[0]["white_matter"].t1_ms)
