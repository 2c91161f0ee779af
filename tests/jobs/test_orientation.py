"""`mrikit evaluate --classifier`: what it prints and keeps, and whom it refuses."""

import dataclasses
import json
import shlex

import pytest
import torch
from phantoms import make_volume
from torch.nn.functional import pad
from typer.testing import CliRunner

from mrikit.checkpoint import save_weights
from mrikit.commands.app import app
from mrikit.models import build_model, model_settings
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.volumes import write_fastmri

SIZE = 96


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two volumes in both orientations, zero-filled."""
    folder = tmp_path_factory.mktemp("study")
    for number in range(2):
        write_fastmri(folder / "data" / f"v{number}.h5", with_room(number))
    for side in ([], ["--transposed"]):
        how = ["--model", "zero_filled", "--acceleration", "4", "--center-fraction", "0.2", *side]
        invoke("reconstruct", "--data", folder / "data", "--out", folder / f"recon{''.join(side)}", *how)
    return folder


def with_room(number):
    """A body of half the field of view: banding is looked for where signal is low."""
    inside, beside = SIZE // 2, SIZE // 4
    volume = make_volume(1, num_coils=2, size=(inside, inside), window=(inside, inside), volume_id=f"v{number}")
    coils = pad(ifft2c(torch.from_numpy(volume.kspace)), (beside,) * 4)
    info = dataclasses.replace(
        volume.info, patient_id=f"p{number}", matrix=(SIZE, SIZE), recon_matrix=(SIZE, SIZE), padding=(0, SIZE)
    )
    reference = coils.abs().square().sum(1).sqrt().numpy()
    noise = 1e-4 * torch.randn(coils.shape, generator=torch.Generator().manual_seed(number))
    return dataclasses.replace(volume, kspace=(fft2c(coils) + noise).numpy(), reference=reference, info=info)


def invoke(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def classifier(folder, name="who", model="orientation_net", settings=None, **record):
    """Weights of one that takes every image for transposed."""
    made = build_model(model, {"kind": "simple"} if settings is None else settings)
    if model == "orientation_net":
        fc = made.discriminators.members[0].fc
        fc.weight.data.zero_()
        fc.bias.data.fill_(1.0)
    path = folder / f"{name}.safetensors"
    save_weights(path, model, model_settings(made), made.state_dict(), record)
    return path


def judged(study, weights, *more):
    both = ["--recon", study / "recon", "--recon", study / "recon--transposed"]
    return ["evaluate", *both, "--scorer", "banding", "--classifier", weights, *more]


def test_what_it_tells_is_printed_with_the_floor_and_kept(study, tmp_path):
    result = invoke(*judged(study, classifier(tmp_path, trained_on=["other"])))
    (line,) = [line for line in result.stdout.splitlines() if "of fully sampled images" in line]
    assert line == (
        "  zero_filled 4x: 0.000 [0.000, 0.000], of fully sampled images 0.000 [0.000, 0.000], above that "
        "0.000 [0.000, 0.000]; 2 slices of 2 patients, each in both orientations"
    )
    assert "banding dB [95 % interval]" in result.stdout
    for folder, told in (("recon", 0.0), ("recon--transposed", 1.0)):
        content = json.loads((study / folder / "scores.banding.json").read_text())
        assert content["orientation"][0]["accuracy"]["images"]["mean"] == 0
        assert [row["told"] for row in content["rows"]] == [told] * 2
        assert [row["slice_logits"] for row in content["rows"]] == [[1.0]] * 2


def test_json_has_it_for_each_folder(study, tmp_path):
    content = json.loads(invoke(*judged(study, classifier(tmp_path), "--json")).stdout)
    assert [folder["orientation"][0]["acceleration"] for folder in content["folders"]] == [4.0, 4.0]


@pytest.mark.parametrize(("given", "other"), [("recon", "--transposed"), ("recon--transposed", "")])
def test_one_orientation_is_refused_with_the_command_that_makes_the_other(study, tmp_path, given, other):
    recon = tmp_path / given
    recon.symlink_to(study / given)
    how = ["evaluate", "--recon", recon, "--scorer", "banding", "--classifier", classifier(tmp_path)]
    with pytest.raises(Exception, match="a classifier tells two orientations apart, and this is one; ") as caught:
        invoke(*how)
    command = shlex.split(str(caught.value).split("`")[1])
    assert command[:2] == ["mrikit", "reconstruct"]
    assert ("--transposed" in command) == bool(other)
    made = command[command.index("--out") + 1]
    invoke(*command[1:])
    assert invoke(*how, "--recon", made).exit_code == 0


def test_patients_whom_it_knows_are_refused(study, tmp_path):
    with pytest.raises(
        Exception, match=r"trained on 1 of the 2 volumes in .*, such as v1; score volumes of new"
    ) as one:
        invoke(*judged(study, classifier(tmp_path, trained_on=["v1"])))
    assert "\n" not in str(one.value)
    table = tmp_path / "patients.csv"
    table.write_text("file,patient\nv0.h5,a\nv1.h5,b\nw,a\n")
    with pytest.raises(Exception, match=r"trained on 1 of the 2 volumes in .*, such as v0"):
        invoke(*judged(study, classifier(tmp_path, trained_on=["w"]), "--patients", table))


def test_weights_of_something_else_are_refused(study, tmp_path):
    network = classifier(tmp_path, "net", "unet", {"num_channels": 2, "num_pools": 1})
    with pytest.raises(Exception, match="weights of unet, which tells no orientations apart; `mrikit train --task"):
        invoke(*judged(study, network))
    with pytest.raises(Exception, match="no folder of a training run"):
        invoke(*judged(study, tmp_path))


def test_other_scorers_ask_nobody(study, tmp_path):
    how = ["evaluate", "--recon", study / "recon", "--classifier", classifier(tmp_path)]
    with pytest.raises(Exception, match="part of the banding score; give --scorer banding, found fastmri"):
        invoke(*how)
