import pytest
from reconstruct.networks import save_unet

from mrikit.errors import CheckpointError, ConfigError
from mrikit.reconstruct import ReconstructConfig, build_method, find_weights


@pytest.fixture
def runs(tmp_path):
    """Two runs in stages, of which one has no weights of its last stage yet, a plain run and a single file."""
    for name in ("knee/stage-1", "knee/stage-2", "knee/stage-10", "brain/stage-1", "varnet"):
        save_unet(tmp_path / "runs" / name / "weights.safetensors")
        save_unet(tmp_path / "runs" / name / "checkpoints" / "step-00000001.safetensors")
    save_unet(tmp_path / "runs" / "brain" / "stage-2" / "checkpoints" / "step-00000001.safetensors")
    save_unet(tmp_path / "runs" / "published.safetensors")
    (tmp_path / "runs" / ".half.host.1.tmp.safetensors").write_bytes(b"of a killed process")
    return tmp_path / "runs"


def names(runs, *paths):
    return [str(file.relative_to(runs)) for file in find_weights(paths)]


def test_of_every_run_the_highest_stage_with_weights_counts_and_every_file(runs):
    assert names(runs, runs) == [
        "brain/stage-1/weights.safetensors",
        "knee/stage-10/weights.safetensors",
        "published.safetensors",
        "varnet/weights.safetensors",
    ]


def test_a_stage_that_is_not_finished_is_passed_over_and_named_once(runs):
    record = {"position": {"validated_step": 5}, "num_steps": 10}
    save_unet(runs / "knee" / "stage-10" / "checkpoints" / "step-00000005.safetensors", **record)
    with pytest.warns(UserWarning, match=r"knee: not finished is stage-10 \(validated at step 5 of 10\)") as caught:
        assert "knee/stage-2/weights.safetensors" in names(runs, runs)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="not finished is stage-10") as caught:
        method = build_method(ReconstructConfig(weights=runs / "knee"))
    assert len(caught) == 1
    assert method.weights.path == runs / "knee" / "stage-2" / "weights.safetensors"


def test_a_stage_or_a_file_that_is_named_is_taken_as_it_is_and_once(runs):
    assert names(runs, runs / "knee" / "stage-1") == ["knee/stage-1/weights.safetensors"]
    assert names(runs, runs / "published.safetensors", runs / "knee", runs) == names(runs, runs)
    checkpoint = runs / "varnet" / "checkpoints" / "step-00000001.safetensors"
    assert find_weights([checkpoint]) == [checkpoint]


def test_a_folder_without_weights_is_one_clear_line(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing", runs / "brain" / "stage-2"):
        with pytest.raises(CheckpointError, match=f"^{path}: no weights in this folder or below; looked for weights.s"):
            find_weights([runs, path])


def test_a_run_in_stages_is_a_network_too(runs):
    method = build_method(ReconstructConfig(weights=runs / "knee"))
    assert method.weights.path == runs / "knee" / "stage-10" / "weights.safetensors"


def test_a_folder_of_many_runs_is_no_network(runs):
    message = r"holds 4 weights, .*brain/stage-1/weights.safetensors, .*, ...; name one, or give --task auto$"
    with pytest.raises(ConfigError, match=message):
        build_method(ReconstructConfig(weights=runs))


def test_a_run_without_weights_yet_is_told_as_before(runs):
    with pytest.raises(CheckpointError, match="because no validation was finished yet"):
        build_method(ReconstructConfig(weights=runs / "brain" / "stage-2"))
