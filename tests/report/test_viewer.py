"""The viewer of the report in a real browser, with WebGL2 in software."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from PIL import Image
from scored_study import WINDOW, line_mask, write_recon, write_volumes

from mrikit.evaluate import evaluate, write_scores
from mrikit.physics.crop import center_crop
from mrikit.report import viewer, write_report
from mrikit.report.panels import WHITE_QUANTILE
from mrikit.runs.picture import levels

NPM_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Of dist/niivue.umd.js in @niivue/niivue 0.69.0."""
NUM_SLICES = 5
SIZE = 400
"""Pixels that a side of the canvas has in the tests."""
WITHOUT_GPU = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
WITHOUT_WEBGL = ("--disable-gpu", "--disable-3d-apis")


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        reason = "no chromium; install it from your distribution"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    references = write_volumes(folder / "data", num_volumes=1, num_slices=NUM_SLICES)
    # Each slice of the worse run is another image.
    moved = {"v0": np.stack([np.roll(image, 3 * number, (0, 1)) for number, image in enumerate(references["v0"])])}
    for model, images, noise in (("cg_sense", moved, 0.0), ("varnet", references, 0.01)):
        recon = folder / "run" / model
        write_recon(recon, folder / "data", images, model=model, mask=line_mask(), noise=noise)
        write_scores(recon, evaluate(folder / "data", recon))
    cut = (min(WINDOW), min(WINDOW))
    top = np.quantile(center_crop(references["v0"], cut), WHITE_QUANTILE)
    return folder / "run", [expected(image, top) for image in center_crop(moved["v0"], cut)]


def show(browser, page, tmp_path, script="", flags=WITHOUT_GPU):
    """The attributes that the page's viewer ends with, and what the canvas shows, (y, x, 3) uint8."""
    asked = f"""<script>(async () => {{
        const viewer = document.querySelector(".viewer"), wait = (ready) => new Promise((done) => {{
            const look = () => ready() ? done() : setTimeout(look, 20); look(); }});
        await wait(() => viewer.dataset.state);
        const set = async (name, value, shown) => {{
            const part = viewer.querySelector(`[name=${{name}}]`);
            if (part.type === "checkbox") part.checked = value; else part.value = value;
            part.dispatchEvent(new Event("input"));
            if (shown) await wait(() => viewer.dataset.shown === shown);
        }};
        {script}
        const picture = viewer.querySelector("canvas, img");
        Object.assign(picture.style, {{ position: "fixed", left: 0, top: 0, maxWidth: "none",
                                        width: "{SIZE}px", height: "{SIZE}px", zIndex: 9 }});
        document.documentElement.append(picture);
        viewer.dataset.picture = picture.tagName;
        viewer.dataset.done = "yes";
    }})();</script></body>"""
    copy, picture = tmp_path / "page.html", tmp_path / "page.png"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", asked), encoding="utf-8")
    run = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", *flags, "--disable-quic", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=900,900",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=60000", f"--screenshot={picture}",
            "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    tag = re.search(r'<div class="panel viewer"[^>]*>', run.stdout)[0]
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', tag))
    assert found["done"] == "yes", run.stderr
    return found, np.asarray(Image.open(picture).convert("RGB"))[:SIZE, :SIZE]


def expected(image, top):
    """A slice in grey, as large as the canvas."""
    return np.asarray(Image.fromarray(levels(image, top)).resize((SIZE, SIZE), Image.Resampling.NEAREST)).astype(int)


def difference(shown, image):
    """Mean difference of grey levels, away from the edges, which the browser blends otherwise."""
    return abs(shown[20:-20, 20:-20, 0].astype(int) - image[20:-20, 20:-20]).mean()


def test_niivue_is_the_file_of_the_npm_package():
    packed = resources.files("mrikit.report").joinpath("niivue.js.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == NPM_SHA256


@pytest.mark.slow
def test_the_browser_shows_each_slice_as_a_picture_has_it(study, browser, tmp_path):
    run, slices = study
    script = 'await set("image", "cg_sense"); await set("slice", 1, "cg_sense false 1");'
    found, shown = show(browser, write_report(run), tmp_path, script)
    assert (found["state"], found["picture"]) == ("ready", "CANVAS")
    assert difference(shown, slices[1]) < 3
    for wrong in (slices[2], slices[1][::-1], slices[1][:, ::-1]):
        assert difference(shown, wrong) > 10
    assert (np.ptp(shown, axis=-1) == 0).all()


@pytest.mark.slow
def test_the_best_run_is_shown_first_and_its_error_lies_over_it(study, browser, tmp_path):
    run, _ = study
    found, plain = show(browser, write_report(run), tmp_path, 'await set("slice", 2, "varnet false 2");')
    found, over = show(
        browser, write_report(run), tmp_path, 'await set("slice", 2); await set("error", true, "varnet true 2");'
    )
    assert found["shown"] == "varnet true 2"
    assert (np.ptp(plain, axis=-1) == 0).all()
    assert (np.ptp(over.astype(int), axis=-1) > 30).mean() > 0.2


@pytest.mark.slow
def test_the_window_makes_all_white(study, browser, tmp_path):
    run, _ = study
    page = write_report(run)
    _, usual = show(browser, page, tmp_path)
    _, bright = show(browser, page, tmp_path, 'await set("white", 1); await set("slice", 0, "varnet false 0");')
    assert bright.mean() > 1.5 * usual.mean()


@pytest.mark.slow
def test_the_wheel_turns_the_slices(study, browser, tmp_path):
    script = """await set("slice", 1, "varnet false 1");
        viewer.querySelector("canvas").dispatchEvent(new WheelEvent("wheel", { deltaY: 3, cancelable: true }));
        await wait(() => viewer.dataset.shown === "varnet false 2");"""
    found, _ = show(browser, write_report(study[0]), tmp_path, script)
    assert found["shown"] == "varnet false 2"


def test_without_webgl_the_plain_picture_stays_and_says_why(study, browser, tmp_path):
    found, shown = show(browser, write_report(study[0]), tmp_path, flags=WITHOUT_WEBGL)
    assert (found["state"], found["picture"]) == ("plain", "IMG")
    assert shown.max() > 100


def test_runs_without_room_are_named_and_the_best_one_stays(study, monkeypatch):
    monkeypatch.setattr(viewer, "MAX_VOXELS", 1)
    text = write_report(study[0]).read_text(encoding="utf-8")
    assert "no room for cg sense" in text
    assert 'data-kind="error" data-name="varnet"' in text
    assert 'data-kind="image" data-name="cg_sense"' not in text


def test_volumes_that_are_gone_have_no_viewer(study, tmp_path):
    run = shutil.copytree(study[0], tmp_path / "run")
    for file in run.rglob("scores.json"):
        file.write_text(file.read_text().replace("/data/v0.h5", "/gone/v0.h5"))
    text = write_report(run).read_text(encoding="utf-8")
    assert 'class="panel viewer"' not in text
    assert "niivue" not in text
