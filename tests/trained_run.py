"""The folder of a training run as `mrikit train` leaves it, with numbers that are easy to recognise."""

import json


def train_row(step, loss=None, **facts):
    """A row of one optimizer step; ten steps are an epoch."""
    loss = 1 / step if loss is None else loss
    facts = {"epoch": step / 10, "lr": 3e-4, "seconds": 2.0, "slices_per_second": 4.0} | facts
    return {"kind": "train", "step": step, "loss": loss, **facts}


def validation_row(epoch, ssim, **facts):
    """A row of the validation after an epoch."""
    facts = {"psnr": 33.1, "nmse": 0.02, "loss": 1 - ssim, "is_best": False, "num_volumes": 4} | facts
    return {"kind": "validation", "step": 10 * epoch, "epoch": epoch, "ssim": ssim, **facts}


def write_run(folder, rows, tail="", **config):
    """`metrics.jsonl` of these rows and whatever follows them, and `config.json`."""
    folder.mkdir(parents=True)
    config = {"task": "knee_multicoil", "size": "tiny", "model": "varnet"} | config
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return folder
