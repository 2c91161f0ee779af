import numpy as np
import pytest

from mrikit.errors import ConfigError
from mrikit.masks import MaskPlan, sample_mask
from mrikit.masks.kinds.tiles import fit_samples, lay_tile
from mrikit.masks.mask import center_of, center_size

REGULAR = ["uniform", "uniform_2d", "caipirinha", "random_tile"]
PATTERNS = REGULAR[1:]
SHAPES = [(28, 28), (121, 145), (64, 50), (97, 30)]


def draw(kind, acceleration=4.0, shape=(64, 48), seed=0, **settings):
    plan = MaskPlan(kind=kind, acceleration=acceleration, settings=settings)
    return sample_mask(plan, shape, np.random.RandomState(seed))


def places(samples, shape=(8, 8)):
    return {(int(row), int(column)) for row, column in np.argwhere(samples[: shape[0], : shape[1]])}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("acceleration", [2, 4, 5, 8])
@pytest.mark.parametrize("kind", REGULAR)
@pytest.mark.parametrize("acs", ["none", "column", "square"])
def test_all_samples_with_the_acs_are_exactly_as_many_as_asked_for(shape, acceleration, kind, acs):
    if kind == "uniform" and acs == "square":
        return
    num_lines = int(40 / acceleration) // 2 * 2 + 1
    rows, columns = {"none": (0, 0), "column": (shape[0], num_lines), "square": (num_lines, num_lines)}[acs]
    if rows * columns > shape[0] * shape[1] / acceleration:
        with pytest.raises(ConfigError, match="the centre alone has"):
            draw(kind, acceleration, shape, acs=acs)
        return
    mask = draw(kind, acceleration, shape, acs=acs)
    assert mask.samples.sum() == round(mask.samples.size / acceleration)


def test_a_random_tile_meets_accelerations_that_are_no_share_of_it():
    for acceleration in (2.5, 3.7, 12.0, 40.0):
        mask = draw("random_tile", acceleration, (64, 50))
        assert mask.samples.sum() == round(3200 / acceleration)


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("acceleration", [4, 8])
def test_an_acs_lies_on_k_space_and_is_true(kind, is_whole, acceleration):
    size = {4: 11, 8: 5}[acceleration]
    square = draw(kind, acceleration, acs="square", is_whole=is_whole)
    assert square.center == (size, size)
    assert square.num_center_lines == size <= center_size(square.samples)
    column = draw(kind, acceleration, acs="column", is_whole=is_whole)
    assert column.center == (64, size)
    assert column.samples[:, 24 - size // 2 : 24 + size // 2 + 1].all()


@pytest.mark.parametrize("kind", PATTERNS)
def test_without_an_acs_the_center_is_what_is_sampled(kind):
    mask = draw(kind)
    assert mask.center == center_of(mask.samples)
    assert mask.num_center_lines == min(mask.center)


@pytest.mark.parametrize(("width", "sampled"), [(48, 1), (50, 0)])
def test_the_middle_of_lines_without_an_acs_is_sampled_or_not(width, sampled):
    assert draw("uniform", shape=(8, width)).num_center_lines == sampled
    assert draw("uniform", shape=(8, width), is_centered=True).num_center_lines == 1


def test_the_acs_of_the_study_lies_on_top_of_the_whole_pattern():
    for kind in REGULAR:
        pattern = draw(kind, is_whole=True).samples
        mask = draw(kind, acs="column", is_whole=True)
        assert (mask.samples | pattern == mask.samples).all()
        assert mask.true_acceleration < 4


@pytest.mark.parametrize(
    ("kind", "acceleration", "expected"),
    [
        ("uniform_2d", 4, {(0, 0), (2, 0), (0, 2), (2, 2)}),
        ("caipirinha", 4, {(0, 0), (2, 0), (1, 2), (3, 2)}),
        ("uniform_2d", 8, {(0, 0), (2, 0)}),
        ("caipirinha", 8, {(0, 0), (2, 2)}),
    ],
)
def test_the_tiles_of_4_by_4_are_those_of_the_study_and_of_scanners(kind, acceleration, expected):
    samples = draw(kind, acceleration).samples
    assert places(samples, (4, 4)) == expected
    assert (samples == lay_tile(samples[:4, :4], (64, 48))).all()


@pytest.mark.parametrize(("steps", "shift"), [((3, 3), 1), ((2, 6), 4), ((4, 2), 1), ((1, 5), 2)])
def test_a_caipirinha_lattice_holds_its_own_sums(steps, shift):
    acceleration = steps[0] * steps[1]
    samples = draw("caipirinha", acceleration, (60, 60), steps=steps, shift=shift, is_whole=True).samples
    assert samples.mean() == pytest.approx(1 / acceleration)
    along_columns = steps[1] > steps[0]
    first = (steps[0], shift) if along_columns else (shift, steps[1])
    second = (0, steps[1]) if along_columns else (steps[0], 0)
    for move in (first, second):
        inner = samples[: 60 - move[0], : 60 - move[1]]
        assert (samples[move[0] :, move[1] :][inner]).all()


def test_a_shift_of_0_is_no_caipirinha():
    assert (draw("caipirinha", 8, shift=0).samples == draw("uniform_2d", 8).samples).all()


@pytest.mark.parametrize("kind", PATTERNS[:2])
@pytest.mark.parametrize("shape", [(28, 28), (30, 29), (121, 146)])
def test_a_centered_lattice_has_the_middle(kind, shape):
    samples = draw(kind, 8, shape, is_centered=True).samples
    assert samples[shape[0] // 2, shape[1] // 2]


def test_a_seed_alone_decides_which_tile():
    assert (draw("random_tile", seed=0).samples == draw("random_tile", seed=1).samples).all()  # the generator's
    tiles = set()
    for number in range(6):
        plan = MaskPlan(kind="random_tile", acceleration=5, settings={"seed": number, "tile": (5, 3)})
        samples = sample_mask(plan, (60, 60), np.random.RandomState(0)).samples
        assert (samples == lay_tile(samples[:5, :3], (60, 60))).all()
        assert samples[:5, :3].sum() == 3
        tiles.add(samples[:5, :3].tobytes())
    assert len(tiles) == 6


def test_lines_move_apart_by_whole_steps_to_make_room_for_the_acs():
    lines = np.flatnonzero(draw("uniform", 4, (8, 145), acs="column").samples)
    outer = np.concatenate((lines[lines < 67], lines[lines > 77]))
    assert set((outer % 5).tolist()) == {0}
    assert set(np.diff(outer[outer < 67])) | set(np.diff(outer[outer > 77])) == {5}
    assert (outer.min(), outer.max()) == (5, 135)  # of 0 to 140 those at the ends are too many


def test_a_pattern_without_holes_loses_what_lies_farthest_out():
    whole, exact = (
        draw("caipirinha", 4, (121, 145), acs="column", is_whole=is_whole).samples for is_whole in (True, False)
    )
    y, x = np.ogrid[:121, :145]
    distance = np.hypot((y - 60) / 121, (x - 72) / 145)
    lost = whole & ~exact
    assert not (exact & ~whole).any()
    assert distance[lost].min() >= distance[exact & (abs(x - 72) > 5)].max() - 1e-12


def test_too_few_samples_are_filled_up_from_the_rim():
    pattern = np.zeros((9, 9), bool)
    pattern[4, 4] = True
    samples = fit_samples(pattern, np.zeros((9, 9), bool), 5)
    assert places(samples, (9, 9)) == {(4, 4), (0, 0), (0, 8), (8, 0), (8, 8)}
    tile = draw("random_tile", 8, (121, 145), tile=(4, 4))
    assert max(tile.center) <= 2


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("uniform", {"acs": "square"}, "a square ACS is no set of lines; kind uniform_2d with steps=1,4 has one at 4x"),
        ("uniform", {"acs": "row"}, "acs is none or column, found 'row'"),
        ("caipirinha", {"acs": "row"}, "acs is none, column or square, found 'row'"),
        ("uniform", {"num_center_lines": 5}, "num_center_lines=5 is of no ACS; 0, or acs=column"),
        ("uniform", {"num_center_lines": -5, "acs": "column"}, "num_center_lines=-5 is of no ACS"),
        ("random_tile", {"center": (5, 5)}, "center=5,5 is of no ACS; acs=square or acs=column would do"),
        ("random_tile", {"center": (5,), "acs": "square"}, "is rows and columns, such as 24,24; found 5"),
        (
            "uniform_2d",
            {"acs": "column", "shape": (28, 28)},
            "the centre alone has 308 samples, but acceleration 4",
        ),
        (
            "uniform",
            {"acs": "column", "shape": (28, 28)},
            "the centre alone has 11 samples, but acceleration 4",
        ),
        ("random_tile", {"acs": "square", "shape": (20, 22)}, "the centre alone has 121 samples, but .* allows 110 of"),
        ("caipirinha", {"acs": "square", "shape": (9, 40)}, "a centre of 11 x 11 does not fit into k-space of 9 x 40"),
        ("uniform_2d", {"steps": (2, 4)}, "steps of 2 x 4 are acceleration 8, but 4 is asked for; change one"),
        ("uniform_2d", {"steps": (4,)}, "steps are for rows and columns, such as 2,4; found 4"),
        ("uniform_2d", {"tile": (0, 4)}, "tile are for rows and columns, such as 4,4; found 0,4"),
        ("random_tile", {"tile": ()}, "a random tile has rows and columns, such as tile=4,4; found none"),
        ("random_tile", {"tile": (4, 4, 4)}, "tile are for rows and columns, such as 4,4; found 4,4,4"),
        ("caipirinha", {"shift": -2}, "the shift of caipirinha is 0 or more, or -1 for half a step; found -2"),
        ("caipirinha", {"acceleration": 4.5}, "the caipirinha mask needs a whole acceleration, found 4.5"),
    ],
)
def test_what_a_tile_cannot_do_is_one_clear_line(kind, change, message):
    with pytest.raises(ConfigError, match=message) as raised:
        draw(kind, **change)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_does_not_take_is_refused(seed):
    with pytest.raises(ConfigError, match=f"the seed of a random tile is in .*, found {seed}"):
        MaskPlan(kind="random_tile", settings={"seed": seed})
