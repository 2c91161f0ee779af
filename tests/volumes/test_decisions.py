import numpy as np

from mrikit.masks import Mask
from mrikit.volumes.decisions import Decisions, join_decisions, read_decisions, steps_of
from mrikit.volumes.reconstruction import Reconstruction, read_reconstruction, write_reconstruction

MASKS = np.array([[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 0]], bool)


def decisions(offset=0.0, **changes):
    values = {
        "steps": steps_of(MASKS)[None],
        "scores": np.arange(9, dtype=np.float32).reshape(1, 3, 3) + offset,
        "seconds": np.full((1, 2), 0.25, np.float32),
        "film": np.full((2, 4, 4), offset, np.float32),
        "film_steps": np.array([0, 2], np.int16),
    }
    return Decisions(**values | changes)


def write(path, found):
    image = np.ones((2, 4, 4), np.float32)
    mask = Mask(samples=MASKS[-1], kind="adaptive", acceleration=2, true_acceleration=2, num_center_lines=2)
    write_reconstruction(
        path,
        Reconstruction(image=image, zero_filled=image, volume_id="v", mask=mask, model="m", config={}, decisions=found),
    )
    return path


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Decisions.__slots__)


def test_a_line_has_the_number_of_the_decision_that_measured_it():
    assert steps_of(MASKS).tolist() == [2, 0, 0, 1, -1]
    assert decisions().num_lines.tolist() == [[2, 3, 4]]


def test_without_scores_the_lines_tell_how_many_decisions_there_were():
    assert decisions(scores=None).num_lines.tolist() == [[2, 3, 4]]


def test_the_film_of_a_volume_is_that_of_its_middle_slice():
    joined = join_decisions([decisions(number) for number in range(3)])
    assert joined.steps.shape == (3, 5)
    assert joined.scores[:, 0, 0].tolist() == [0, 1, 2]
    assert (joined.film == 1).all()


def test_they_are_kept_in_the_file_and_read_without_the_film(tmp_path):
    kept = join_decisions([decisions(), decisions(1)])
    path = write(tmp_path / "v.h5", kept)
    assert same(read_reconstruction(path).decisions, kept)
    assert same(read_decisions(path), Decisions(**{n: getattr(kept, n) for n in Decisions.__slots__} | {"film": None}))


def test_only_what_is_known_is_kept(tmp_path):
    kept = Decisions(steps=steps_of(MASKS)[None])
    assert same(read_decisions(write(tmp_path / "v.h5", kept)), kept)
    assert read_decisions(write(tmp_path / "w.h5", None)) is None
