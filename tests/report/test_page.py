import base64
import dataclasses
import html.parser
import io
import json
import re

import h5py
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from scored_study import WINDOW, line_mask, write_recon, write_unreferenced, write_volumes
from snu_study import write_leaderboard, write_leaderboard_recon
from trained_run import train_row, validation_row, write_run

from mrikit.errors import DataError, StorageError
from mrikit.evaluate import (
    FolderOrientation,
    Interval,
    OrientationAccuracy,
    evaluate,
    score_files,
    write_scores,
)
from mrikit.report import write_report
from mrikit.runs.picture import save_picture

TIMES = "\N{MULTIPLICATION SIGN}"


class Page(html.parser.HTMLParser):
    """Tags, pictures and words of a page; a tag that is not closed in order is an error."""

    VOID = ("meta", "img", "line", "circle", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.references, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[name] for name in ("src", "href", "srcset", "action") if name in attributes]
        if tag == "img":
            self.images.append(attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def pixels(image):
    """(y, x[, color]) levels of the picture of an `img` tag."""
    content = base64.b64decode(image["src"].split(",")[1])
    return np.rint(255 * imread(io.BytesIO(content), format="png")).astype(int)


@pytest.fixture
def study(tmp_path):
    """Two models at two accelerations, and a volume without a reference."""
    data, run = tmp_path / "data", tmp_path / "run"
    references = write_volumes(data)
    images = {**references, "test0": write_unreferenced(data)}
    for acceleration in (4.0, 8.0):
        for model, noise in (("zero_filled", 0.1), ("cg_sense", 0.02)):
            folder = run / f"acc{acceleration:g}" / model
            write_recon(folder, data, images, model=model, mask=line_mask(acceleration), noise=noise * acceleration / 4)
            write_scores(folder, evaluate(data, folder))
    return data, run, references


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def scores_of(run, folder):
    return json.loads((run / folder / "scores.json").read_text())


def test_the_report_is_one_file_that_asks_for_nothing_else(study):
    _, run, _ = study
    path = write_report(run)
    assert path == run / "report.html"
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]* src=|https?://(?!www.w3.org)", text) == []
    assert "url(" not in text
    assert "@import" not in text
    page = read(path)
    assert page.references
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert all(image["alt"] for image in page.images)


def test_the_tables_show_the_means_of_the_scores_files(study):
    _, run, _ = study
    text = read(write_report(run)).text
    for folder in ("acc4/cg_sense", "acc4/zero_filled", "acc8/cg_sense", "acc8/zero_filled"):
        for summary in scores_of(run, folder)["summary"]:
            assert f"{summary['ssim']['mean']:.4f}" in text
        overall = scores_of(run, folder)["summary"][0]
        assert f"{overall['psnr']['mean']:.2f} {overall['psnr']['low']:.2f} to {overall['psnr']['high']:.2f}" in text
        assert f"{overall['nmse']['mean']:.4f}" in text
    assert "0.125" in text  # 8 slices per second


def test_no_number_in_a_score_table_is_unknown_to_the_scores_files(study):
    _, run, _ = study
    text = read(write_report(run)).text
    known = json.dumps([scores_of(run, f"acc{r}/{m}") for r in (4, 8) for m in ("cg_sense", "zero_filled")])
    numbers = {f"{abs(float(number)):.4f}" for number in re.findall(r"\d\.\d+(?:e-\d+)?", known)}
    shown = text.split("By acquisition")[1].split("How it was measured")[0]
    found = re.findall(r"\d\.\d{4}\b", shown)
    assert len(found) > 40
    assert set(found) <= numbers


def test_best_median_and_worst_slice_of_the_best_model_are_shown(study):
    _, run, _ = study
    text = read(write_report(run)).text
    rows = scores_of(run, "acc4/cg_sense")["rows"]
    slices = sorted((value, row["volume_id"], n) for row in rows for n, value in enumerate(row["slice_ssim"]))
    for label, (value, volume_id, number) in zip(
        ("Best", "Median", "Worst"), (slices[-1], slices[len(slices) // 2], slices[0]), strict=True
    ):
        panel = text.split("Pictures at 4x")[1].split(f"{label} slice ")[1]
        assert panel.startswith(f"{volume_id}, slice {number} of 2")
        assert panel.index("zero filled") < panel.index("cg sense") < panel.index(f"{value:.4f}")


def test_pictures_are_the_arrays_in_one_window(study):
    _, run, references = study
    page = read(write_report(run))
    rows = scores_of(run, "acc8/cg_sense")["rows"]
    value, volume_id, number = min((v, row["volume_id"], n) for row in rows for n, v in enumerate(row["slice_ssim"]))
    top = (WINDOW[0] - WINDOW[1]) // 2
    reference = references[volume_id][number, top : top + WINDOW[1]]
    with h5py.File(run / "acc8" / "cg_sense" / f"{volume_id}.h5") as file:
        image = file["reconstruction"][number, top : top + WINDOW[1]]
    alt = f"{volume_id} slice {number}, cg sense, SSIM {value:.4f}"
    (found,) = [picture for picture in page.images if picture["alt"] == alt]
    np.testing.assert_allclose(pixels(found), np.clip(255 * image / np.quantile(reference, 0.995), 0, 255), atol=0.51)


def test_errors_are_brighter_by_the_stated_gain(study):
    _, run, references = study
    row = max(scores_of(run, "acc4/cg_sense")["rows"], key=lambda row: max(row["slice_ssim"]))
    number = int(np.argmax(row["slice_ssim"]))
    page = read(write_report(run))
    panel = page.text.split("Pictures at 4x")[1].split("Best slice")[1].split("Median slice")[0]
    percent, gain = re.search(rf"0 (\d+) % \|error\| {TIMES} (\d+), in percent", panel).groups()
    assert int(percent) * int(gain) == 100
    assert int(gain) > 1
    top = (WINDOW[0] - WINDOW[1]) // 2
    reference = references[row["volume_id"]][number, top : top + WINDOW[1]]
    with h5py.File(run / "acc4" / "cg_sense" / row["reconstruction"]) as file:
        error = np.abs(file["reconstruction"][number, top : top + WINDOW[1]] - reference)
    levels = np.rint(255 * np.clip(int(gain) * error / reference.max(), 0, 1)).astype(int)
    expected = mpl.colormaps["inferno"](levels, bytes=True)[..., :3].astype(int)
    panels = [image for image in page.images if image["alt"].startswith("Absolute error of cg sense")]
    found = pixels(panels[0])[..., :3]
    assert (np.abs(found - expected).max(-1) <= 4).all()


def test_volumes_without_a_score_are_shown_apart_with_the_reason(study):
    _, run, _ = study
    page = read(write_report(run))
    part = page.text.split("Not scored")[-1]
    assert "the file has no reference image 1 test0" in part
    assert "Middle slice test0, slice 1 of 2" in part
    assert sum(image["alt"].startswith("test0 slice 1, cg sense") for image in page.images) == 2  # 4x and 8x


def test_a_run_that_was_never_evaluated_still_shows_its_pictures(study):
    _, run, _ = study
    for path in run.rglob("scores.json"):
        path.unlink()
    page = read(write_report(run))
    assert "not evaluated yet; run `mrikit evaluate --recon" in page.text
    assert "Pictures at" not in page.text
    assert any(image["alt"].startswith("v0 slice 1, cg sense") for image in page.images)


def test_tables_remain_when_the_data_are_gone(study):
    data, run, _ = study
    data.rename(data.with_name("elsewhere"))
    text = read(write_report(run)).text
    mean = scores_of(run, "acc4/cg_sense")["summary"][0]["ssim"]["mean"]
    assert f"{mean:.4f}" in text
    assert re.search(r"Worst slice .* No pictures: \S*v\d\.h5: ", text)


def test_a_damaged_reconstruction_is_named_where_its_pictures_would_be(study):
    _, run, _ = study
    for path in run.rglob("test0.h5"):
        path.write_bytes(b"nothing")
    assert re.search(r"No pictures: \S*test0\.h5: not a reconstruction of mrikit", read(write_report(run)).text)


def test_names_from_files_cannot_inject_html(study):
    _, run, _ = study
    path = run / "acc4" / "cg_sense" / "scores.json"
    path.write_text(path.read_text().replace("CORPD_FBK", "<b onload=1>&"))
    text = write_report(run).read_text(encoding="utf-8")
    assert "<b onload" not in text
    assert "&lt;b onload=1&gt;&amp;" in text


def test_perfect_scores_are_shown_as_infinite(tmp_path):
    references = write_volumes(tmp_path / "data", 1, 1)
    write_recon(tmp_path / "run", tmp_path / "data", references, noise=0)
    write_scores(tmp_path / "run", evaluate(tmp_path / "data", tmp_path / "run"))
    text = read(write_report(tmp_path / "run")).text
    assert "1.0000" in text
    assert "\N{INFINITY}" in text


def test_a_model_that_did_fewer_volumes_is_compared_and_shown_on_these(study):
    data, run, references = study
    folder = run / "acc4" / "varnet"
    write_recon(folder, data, {"v0": references["v0"], "v2": references["v2"]}, model="varnet", noise=0.005)
    write_scores(folder, evaluate(data, folder))
    page = read(write_report(run))
    rows = {row["volume_id"]: row["ssim"] for row in scores_of(run, "acc4/cg_sense")["rows"]}
    few, everything = page.text.split("By acquisition")[0].split("4x on 2 volumes")[-1].split("4x on 3 volumes")
    assert "without varnet, which did not do all of these volumes" in everything
    assert f"cg sense 2 {np.mean([rows['v0'], rows['v2']]):.4f}" in few
    assert f"cg sense 3 {np.mean(list(rows.values())):.4f}" in everything
    assert "varnet" not in everything.split("volumes", 1)[1].split("8x")[0].replace("without varnet", "")
    pictures = page.text.split("Pictures at 4x on 2 volumes")[1].split("Pictures at")[0]
    assert pictures.startswith(" Slices of best, median and worst SSIM by varnet.")
    for label in ("Best", "Median", "Worst"):
        panel = pictures.split(f"{label} slice ")[1]
        assert panel[:2] in ("v0", "v2")
        assert panel.index("zero filled") < panel.index("cg sense") < panel.index("varnet")
    assert "Not every model did every volume" in page.text
    assert "Not every model did every volume" not in read(write_report(run / "acc8")).text


def test_pictures_of_a_section_are_of_its_volumes_also_where_the_best_model_did_more(study):
    data, run, references = study
    rows = scores_of(run, "acc4/cg_sense")["rows"]
    elsewhere = max(rows, key=lambda row: max(row["slice_ssim"]))["volume_id"]
    folder = run / "acc4" / "varnet"
    few = {name: image for name, image in references.items() if name != elsewhere}
    write_recon(folder, data, few, model="varnet", noise=0.05)
    write_scores(folder, evaluate(data, folder))
    text = read(write_report(run)).text
    for name, is_there in (("4x on 2 volumes", False), ("4x on 3 volumes", True)):
        pictures = text.split(f"Pictures at {name}")[1].split("Pictures at")[0]
        assert pictures.startswith(" Slices of best, median and worst SSIM by cg sense.")
        assert (f"Best slice {elsewhere}" in pictures) == is_there


def test_two_runs_of_one_model_have_lines_and_pictures_of_their_own(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    images = {**write_volumes(data), "test0": write_unreferenced(data)}
    for number in (2, 9):
        config = {"model_config": {"num_iterations": number}}
        write_recon(run / str(number), data, images, noise=0.2 / number, config=config)
        write_scores(run / str(number), evaluate(data, run / str(number)))
    page = read(write_report(run))
    names = [image["alt"] for image in page.images]
    for number in (2, 9):
        assert f"cg sense num iterations={number} 3 0." in page.text
        assert sum(f"cg sense num iterations={number}, SSIM" in name for name in names) == 3
        assert sum(name.startswith(f"test0 slice 1, cg sense num iterations={number}") for name in names) == 1


def test_a_long_label_has_room_beside_the_chart(study):
    _, run, _ = study
    texts = [write_report(run).read_text(encoding="utf-8")]
    path = run / "acc4" / "cg_sense" / "scores.json"
    path.write_text(path.read_text().replace('"model": "cg_sense"', f'"model": "{"long_" * 9}"'))
    texts.append(write_report(run).read_text(encoding="utf-8"))
    first, second = (
        re.search(r'viewBox="0 0 (\d+) .*?<line x1="([\d.]+)"', text, re.DOTALL).groups() for text in texts
    )
    assert first == ("840", "120.0")
    assert float(second[1]) == 7 * 45
    assert float(second[0]) == 720 + 7 * 45


def test_a_file_that_is_being_written_is_not_shown(study):
    _, run, _ = study
    for path in run.rglob("scores.json"):
        path.unlink()
    (run / "acc4" / "cg_sense" / ".v7.host.7.tmp.h5").write_bytes(b"half")
    assert ".v7" not in read(write_report(run)).text


def test_the_page_says_that_patients_were_resampled(study):
    _, run, _ = study
    assert "95 % confidence intervals (bootstrap over patients;" in read(write_report(run)).text


def test_the_report_may_go_elsewhere(study, tmp_path):
    _, run, _ = study
    out = tmp_path / "new" / "page.html"
    assert write_report(run, out) == out
    assert not (run / "report.html").exists()
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_an_empty_or_missing_folder_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no reconstruct\.json in this folder or below; run `mrikit reconstruct"):
        write_report(tmp_path)


def test_a_place_that_cannot_be_written_is_an_error(study, tmp_path):
    _, run, _ = study
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"page\.html: cannot be written"):
        write_report(run, tmp_path / "file" / "page.html")


def test_a_run_of_training_alone_has_curves_and_says_what_is_next(tmp_path):
    run = write_run(tmp_path / "runs" / "knee", [train_row(1), train_row(10), validation_row(1, 0.8765)])
    for folder in (run, run.parent):
        page = read(write_report(folder))
        assert "Training Validation scores are means" in page.text
        summary = "knee_multicoil tiny, varnet, 10 steps, 1 epoch, best validation SSIM 0.8765 at epoch 1, 4 s"
        assert summary in page.text
        assert f"No scores yet; next: mrikit reconstruct --weights {run} --data DATA --out {folder}/recon" in page.text
        assert [image["alt"].split(" ")[0] for image in page.images] == ["Training", "Validation", "Learning"]
        assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
        assert "What was run" not in page.text
        assert "knee" in page.text.split("How it was measured")[1]
        assert page.text.endswith("All numbers come from the metrics.jsonl files of this run.")


def test_the_first_picture_of_a_training_run_the_last_and_some_between_are_shown(tmp_path):
    run = write_run(tmp_path / "run", [train_row(1)])
    for step in range(0, 70, 10):
        save_picture(run / "pictures", "validation", np.full((2, 3), step, np.uint8), step)
    page = read(write_report(run))
    shown = {image["alt"]: pixels(image).tolist() for image in page.images if image["alt"].startswith("validation,")}
    names = ["validation, before the first step", *(f"validation, step {step}" for step in (20, 40, 60))]
    assert shown == {name: [[step] * 3] * 2 for name, step in zip(names, (0, 20, 40, 60), strict=True)}
    assert all(name in page.text for name in names)


def test_a_picture_that_cannot_be_read_is_an_error(tmp_path):
    run = write_run(tmp_path / "run", [train_row(1)])
    (run / "pictures" / "step-00000010-validation.png").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"step-00000010-validation\.png: cannot be read: Is a directory"):
        write_report(run)


def test_training_runs_stand_before_the_scores_of_their_reconstructions(study):
    _, run, _ = study
    write_run(run / "weights" / "first", [train_row(1)])
    write_run(run / "weights" / "second", [], size="small")
    page = read(write_report(run))
    first, second = page.text.index("weights/first knee_multicoil tiny"), page.text.index("weights/second knee_mult")
    assert first < second < page.text.index("Scores Means as the scorer has them")
    assert "No scores yet" not in page.text
    assert sum(image["alt"].startswith("Training loss") for image in page.images) == 1
    assert page.text.endswith("All numbers come from the scores.json and metrics.jsonl files of this run.")


def test_a_run_killed_in_the_middle_of_a_line_is_reported(tmp_path):
    run = write_run(tmp_path / "run", [train_row(1), train_row(2) | {"loss": None}], tail='{"kind": "tr')
    text = read(write_report(run)).text
    assert "2 steps, 0.2 epochs, no validation yet" in text
    assert "1 step without a finite loss, the first is 2, 1 damaged line left out" in text


def test_names_from_a_training_run_cannot_inject_html(tmp_path):
    run = write_run(tmp_path / "run", [train_row(1)], task="<b onload=1>&")
    assert "<b onload" not in write_report(run).read_text(encoding="utf-8")


def test_a_folder_that_two_scorers_scored_shows_both(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "run"
    write_leaderboard_recon(recon, data, write_leaderboard(data))
    for scorer in ("fastmri", "snu-2026"):
        write_scores(recon, evaluate(data, recon, scorer=scorer))
    text = read(write_report(tmp_path / "run")).text
    for scorer in ("fastmri", "snu-2026"):
        (summary, *_) = json.loads((recon / score_files(scorer)[0]).read_text())["summary"]
        assert f"4x by scorer {scorer}" in text
        assert f"{summary['ssim']['mean']:.4f}" in text
    assert "the snu-2026 scorer is for knees, the anatomy is brain; use --scorer snu-2025 or fastmri 2" in text
    assert "By snu-2026: reconstruction and reference are compared inside the body mask" in text
    assert text.endswith("All numbers come from the scores.json, scores.snu-2026.json files of this run.")
    assert text.count('"model": "cg_sense"') == 1


def test_runs_on_unequal_volumes_are_compared_on_what_they_share(study):
    data, run, references = study
    write_recon(run / "acc4" / "net", data, {"v0": references["v0"]}, model="net")
    write_scores(run / "acc4" / "net", evaluate(data, run / "acc4" / "net"))
    text = read(write_report(run)).text
    assert "compared on the 1 volume that all models did; left out are " in text


def test_the_error_of_k_space_has_a_column_where_all_runs_have_it(study):
    data, run, _ = study
    assert "NMSE of k-space" not in read(write_report(run)).text
    for model in ("cg_sense", "zero_filled"):
        scores = evaluate(data, run / "acc4" / model)
        rows = tuple(dataclasses.replace(row, kspace_nmse=0.1234, kspace_energy=1.0) for row in scores.rows)
        write_scores(run / "acc4" / model, dataclasses.replace(scores, rows=rows))
    table, rest = read(write_report(run)).text.split("8x equispaced_fraction")
    assert "NMSE NMSE of k-space SSIM, difference" in table
    assert table.count("0.1234 0.1234 to 0.1234") == 2
    assert "NMSE of k-space" not in rest


def test_the_banding_score_has_columns_and_is_explained_where_there_is_one(study):
    data, run, _ = study
    assert "Banding, dB" not in read(write_report(run)).text
    folder = run / "acc4" / "cg_sense"
    scores = evaluate(data, folder)
    rows = tuple(dataclasses.replace(row, scorer="banding", banding_db=2.34) for row in scores.rows)
    write_scores(folder, dataclasses.replace(scores, scorer="banding", rows=rows))
    text = read(write_report(run)).text
    assert "NMSE Banding, dB SSIM, difference" in text
    assert "+2.34 +2.34 to +2.34" in text
    assert "Orientation" not in text.split("How it was measured")[0]
    interval = {mean: Interval(mean=mean, low=mean - 0.01, high=mean + 0.01) for mean in (0.0, 0.321)}
    accuracy = OrientationAccuracy(
        images=interval[0.321], floor=interval[0.0], above_floor=interval[0.321], num_slices=4, num_patients=2
    )
    entry = FolderOrientation(acceleration=4.0, accuracy=accuracy)
    write_scores(folder, dataclasses.replace(scores, scorer="banding", rows=rows, orientation=(entry,)))
    text = read(write_report(run)).text
    assert "Banding, dB Orientation \N{MINUS SIGN} 0.5 SSIM, difference" in text
    assert "0.321 0.311 to 0.331 full images 0.000" in text
    assert "Banding is the directional excess" in text
    assert "By fastmri and banding: Reconstruction and reference are cropped" in text
    assert "By banding: reconstruction and reference are compared inside the body mask" not in text
