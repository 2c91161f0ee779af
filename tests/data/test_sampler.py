from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mrikit.data import BatchShape, SliceKey, plan_epoch, rank_share, split_patients
from mrikit.errors import ConfigError
from mrikit.volumes import ScanInfo

SHAPE = BatchShape(num_slices=5, kspace=(4, 16, 12), window=(8, 8), reference=(8, 8))
BUCKETS = (
    SHAPE,
    replace(SHAPE, kspace=(3, 16, 12)),
    replace(SHAPE, kspace=(4, 16, 11)),
    replace(SHAPE, window=(8, 7)),
    replace(SHAPE, reference=None),
)

studies = st.lists(st.builds(replace, st.sampled_from(BUCKETS), num_slices=st.integers(1, 7)), min_size=1, max_size=8)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(studies, sizes, st.integers(0, 2**32), st.integers(0, 100))
def test_an_epoch_holds_every_slice_and_its_steps_are_whole(shapes, sizes, seed, epoch):
    micro_batch_size, accumulation = sizes
    batch_size = micro_batch_size * accumulation
    plan = plan_epoch(shapes, micro_batch_size=micro_batch_size, batch_size=batch_size, seed=seed, epoch=epoch)
    again = plan_epoch(shapes, micro_batch_size=micro_batch_size, batch_size=batch_size, seed=seed, epoch=epoch)
    assert plan == again
    assert len(plan) % accumulation == 0
    for keys in plan:
        assert 1 <= len(keys) <= micro_batch_size
        assert len({shapes[key.volume].bucket for key in keys}) == 1
    # What fills the last step up repeats the beginning; before it, every slice comes once.
    slices_of = Counter()
    for shape in shapes:
        slices_of[shape.bucket] += shape.num_slices
    num_needed = sum(-(-count // micro_batch_size) for count in slices_of.values())
    assert 0 <= len(plan) - num_needed < accumulation
    assert Counter(key for keys in plan[:num_needed] for key in keys) == Counter(
        SliceKey(volume, index) for volume, shape in enumerate(shapes) for index in range(shape.num_slices)
    )
    repeated = plan[num_needed:]
    assert repeated == [plan[position % num_needed] for position in range(len(repeated))]


@given(studies, st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2, 4]))
def test_the_ranks_of_a_step_together_compute_what_one_would(shapes, micro_batch_size, accumulation, world_size):
    batch_size = micro_batch_size * accumulation * world_size
    plan = plan_epoch(shapes, micro_batch_size=micro_batch_size, batch_size=batch_size, seed=0, epoch=0)
    shares = [rank_share(plan, rank, world_size) for rank in range(world_size)]
    for step in range(len(plan) // (accumulation * world_size)):
        alone = plan[step * accumulation * world_size : (step + 1) * accumulation * world_size]
        of_ranks = [share[step * accumulation : (step + 1) * accumulation] for share in shares]
        in_turn = [of_ranks[rank][turn] for turn in range(accumulation) for rank in range(world_size)]
        assert in_turn == alone


@given(studies, sizes, st.integers(0, 99), st.sampled_from([0.07, 0.2, 1 / 3, 0.5, 0.99]), st.integers(0, 40))
def test_epochs_of_a_share_go_through_all_slices_again_and_again(shapes, sizes, seed, share, epoch):
    micro_batch_size, accumulation = sizes

    def plan(epoch):
        whole = {"micro_batch_size": micro_batch_size, "batch_size": micro_batch_size * accumulation}
        return plan_epoch(shapes, **whole, seed=seed, epoch=epoch, share=share)

    count = len(plan(0))
    num_all = len(plan_epoch(shapes, micro_batch_size=micro_batch_size, batch_size=micro_batch_size, seed=0, epoch=0))
    assert len(plan(epoch)) == count
    assert count % accumulation == 0
    assert count == accumulation or abs(count - share * num_all) <= accumulation / 2
    # Whatever the epoch, all that came before are whole passes and a part of one.
    seen = Counter(key for before in range(epoch + 1) for keys in plan(before) for key in keys)
    slices = [SliceKey(volume, index) for volume, shape in enumerate(shapes) for index in range(shape.num_slices)]
    num_passes = (epoch + 1) * count // num_all
    assert all(num_passes <= seen[key] <= num_passes + 1 for key in slices)


def test_five_fifths_are_every_slice_once():
    shapes = [replace(SHAPE, num_slices=10)] * 2
    plans = [
        plan_epoch(shapes, micro_batch_size=2, batch_size=2, seed=1, epoch=epoch, share=0.2) for epoch in range(10)
    ]
    assert [len(plan) for plan in plans] == [2] * 10
    first, second = (Counter(key for plan in half for keys in plan for key in keys) for half in (plans[:5], plans[5:]))
    assert set(first.values()) == set(second.values()) == {1}
    assert len(first) == len(second) == 20
    assert plans[:5] != plans[5:]


def test_every_epoch_and_every_seed_has_its_own_order():
    def plan(seed, epoch):
        return tuple(plan_epoch([SHAPE] * 4, micro_batch_size=2, batch_size=4, seed=seed, epoch=epoch))

    assert len({plan(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_shapes_are_mixed_over_the_epoch_and_slices_over_the_volumes_of_a_shape():
    shapes = [replace(bucket, num_slices=20) for bucket in BUCKETS[:2] for _ in range(2)]
    plan = plan_epoch(shapes, micro_batch_size=2, batch_size=2, seed=0, epoch=0)
    is_first = [shapes[keys[0].volume] == shapes[0] for keys in plan]
    assert 4 < sum(is_first[:20]) < 16
    assert sum(keys[0].volume != keys[-1].volume for keys in plan) > 8


@pytest.mark.parametrize(("micro", "batch", "hint"), [(2, 5, 4), (4, 2, 4), (3, 5, 6), (0, 4, 4), (2, 0, 2)])
def test_a_batch_that_is_no_multiple_of_the_micro_batch_is_refused(micro, batch, hint):
    with pytest.raises(ConfigError) as caught:
        plan_epoch([SHAPE], micro_batch_size=micro, batch_size=batch, seed=0, epoch=0)
    assert str(caught.value) == (
        f"a batch size is a multiple of the micro-batch size, found {batch} and {micro}; try {hint}"
    )


def test_a_plan_that_cannot_be_shared_equally_is_refused():
    plan = plan_epoch([SHAPE], micro_batch_size=1, batch_size=1, seed=0, epoch=0)
    with pytest.raises(ConfigError, match=r"^5 micro-batches cannot be shared equally by 2 processes; make the batch"):
        rank_share(plan, 0, 2)


def scan(number, patient):
    return ScanInfo(
        volume_id=f"file{number}", patient_id=patient, matrix=(16, 12), recon_matrix=(8, 8), padding=(0, 12)
    )


def validating(volumes, num_validation, seed=0):
    """Names of the patients, or of the volumes without one, that validate."""
    training, validation = split_patients(volumes, num_validation=num_validation, seed=seed)
    assert sorted(training + validation) == list(range(len(volumes)))
    assert training == sorted(training)
    assert validation == sorted(validation)
    return {volumes[position].patient_id or volumes[position].volume_id for position in validation}


@given(st.lists(st.sampled_from([*"abcdefghij", None]), min_size=4, max_size=30), st.integers(0, 5), st.randoms())
def test_a_patient_is_on_one_side_wherever_the_files_lie(patients, seed, random):
    volumes = [scan(number, patient) for number, patient in enumerate(patients)]
    names = {volume.patient_id or volume.volume_id for volume in volumes}
    assume(len(names) > 1)
    found = validating(volumes, 1, seed)
    assert len(found) == 1
    training, _ = split_patients(volumes, num_validation=1, seed=seed)
    assert not found & {volumes[position].patient_id or volumes[position].volume_id for position in training}
    random.shuffle(volumes)
    assert validating(volumes, 1, seed) == found


def test_more_validation_keeps_who_validated_and_a_new_patient_moves_one_at_most():
    volumes = [scan(number, f"p{number}") for number in range(20)]
    chosen = [validating(volumes, count) for count in range(20)]
    assert [len(found) for found in chosen] == list(range(20))
    assert all(few < more for few, more in pairwise(chosen))
    for newcomer in range(20, 40):
        grown = validating([*volumes, scan(newcomer, f"p{newcomer}")], 5)
        assert len(chosen[5] - grown) <= 1
        assert chosen[5] - grown == set() or f"p{newcomer}" in grown


def test_other_seeds_choose_other_patients():
    volumes = [scan(number, f"p{number}") for number in range(20)]
    assert len({frozenset(validating(volumes, 5, seed)) for seed in range(10)}) > 5


def test_volumes_of_one_file_stay_together():
    volumes = [replace(scan(number, None), study_id=f"s{number // 2}") for number in range(20)]
    for seed in range(5):
        training, validation = split_patients(volumes, num_validation=3, seed=seed)
        assert len(validation) == 6
        assert not {number // 2 for number in training} & {number // 2 for number in validation}


def test_a_volume_named_as_a_patient_is_not_that_patient():
    volumes = [scan(0, "file1"), scan(1, None)]
    training, validation = split_patients(volumes, num_validation=1, seed=0)
    assert len(training) == len(validation) == 1


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.01, 1), (0.2, 2), (0.25, 2), (0.5, 5), (1, 1), (4.0, 4)])
def test_a_share_is_rounded_and_is_at_least_one_patient(share, count):
    volumes = [scan(number, f"p{number // 2}") for number in range(20)]
    assert len(validating(volumes, share)) == count


@pytest.mark.parametrize(
    ("num_patients", "wanted", "message"),
    [
        (1, 2, "1 patient in the data; 2 for validation leave none to train on; ask for fewer, or add data"),
        (1, 0.2, "1 patient in the data; 1 for validation leaves none to train on; ask for fewer, or add data"),
        (3, 3, "3 patients in the data; 3 for validation leave none to train on; ask for fewer, or add data"),
        (0, 0, "0 patients in the data; 0 for validation leave none to train on; ask for fewer, or add data"),
        (3, 1.5, "patients for validation are a share below 1 or a whole number, found 1.5; try 0.2 or 4"),
        (3, -1, "patients for validation are a share below 1 or a whole number, found -1; try 0.2 or 4"),
        (3, float("nan"), "patients for validation are a share below 1 or a whole number, found nan; try 0.2 or 4"),
    ],
)
def test_a_split_that_leaves_nobody_or_means_nothing_is_refused(num_patients, wanted, message):
    volumes = [scan(number, f"p{number}") for number in range(num_patients)]
    with pytest.raises(ConfigError) as caught:
        split_patients(volumes, num_validation=wanted, seed=0)
    assert str(caught.value) == message
