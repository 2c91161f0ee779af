"""`mrikit train`: a task's network, trained to the end or as far as it comes; the same command goes on."""

import contextlib
import functools
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.natural import AS_ALL_DATA, require_writable, say
from mrikit.commands.on import words_of
from mrikit.commands.places import AS_LOCATION, Location, beside, settings_of
from mrikit.commands.training_kinds import is_policy
from mrikit.commands.training_plan import fitted, show_plan
from mrikit.commands.training_run import is_first, leave_the_word_to_another, num_processes, run
from mrikit.commands.training_seeds import (
    SEED_FOLDERS,
    OneRun,
    planned_runs,
    seed_configs,
    seed_name,
    show_times,
    train_runs,
)
from mrikit.commands.training_test import planned_test, score_run
from mrikit.errors import ConfigError, MrikitError
from mrikit.launching.scoring import mask_words
from mrikit.run_files import CONFIG_FILE, METRICS_FILE
from mrikit.words import in_shell

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.storage import Place


def train(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="What to train; `mrikit tasks` lists all.")],
    data: Annotated[
        list[Location] | None,
        typer.Option(
            **AS_ALL_DATA,
            help="Fully sampled volumes; a folder or az://container/prefix, repeatable. Folders that say so train or "
            "validate, such as *_train and val/; test and leaderboard data never train. By default MRIKIT_DATA, else "
            "data/ here, else with --on azure az://datasets of the linked estate.",
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="tiny, small, full or plus.")] = "tiny",
    stage: Annotated[
        int | None, typer.Option(min=1, help="One stage of a task that has several; by default all of them in order.")
    ] = None,
    out: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="Folder of the run, or az://container/prefix; runs/TASK-MODEL-SIZE by default. A started run goes on.",
        ),
    ] = None,
    start: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="A run, checkpoint or weights to begin with; by default a stage begins with the one before.",
        ),
    ] = None,
    validation_data: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION, help="Volumes to validate on; by default those that folders name, else a share of patients."
        ),
    ] = None,
    patients: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="A CSV of file,patient for files that do not say whose they are; no patient is on two sides.",
        ),
    ] = None,
    test_data: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="Volumes to reconstruct and score when all is trained, into the folder RUN-test; masks are those of "
            "the validation.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Train so many times, with training.seed 0, 1, ..., one after the other, into OUT/seed-N, and choose "
            "by validation on the same patients; those that fail are named.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, such as training.max_lr=1e-4; repeatable."),
    ] = None,
    keep: Annotated[int | None, typer.Option(help="Checkpoints that stay; 2 by default.")] = None,
    max_disk_gb: Annotated[float | None, typer.Option(help="Most space for checkpoints, GB.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only algorithms that give the same bits every time, also on a GPU.")
    ] = False,
    fit: Annotated[
        str | None, typer.Option(help="Memory of the device, such as 8GB: choose settings that need no more.")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option(help="tensorboard, mlflow or wandb, besides metrics.jsonl; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; auto takes a GPU if there is one.")] = "auto",
    gpu: Annotated[
        str,
        typer.Option(help="With --dry-run: time on a GPU that is not here; gtx1080, t4, v100, a10, a100, h100, h200."),
    ] = "",
    price_per_hour: Annotated[
        float | None, typer.Option(min=0, help="Of one device, in any currency, for what --dry-run tells.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, with memory, time and cost, and stop.")
    ] = False,
) -> None:
    """Train a network; the same command again goes on. Several processes: `torchrun --no-python mrikit train ...`."""
    from mrikit.commands.device import pick_device
    from mrikit.forecast import known_gpu
    from mrikit.recipes.choose import chosen_configs, run_name
    from mrikit.runs.tracking import require_trackers
    from mrikit.storage import mirrored, nothing, pulled

    assert data is not None
    options = {"keep": keep, "max_disk_gb": max_disk_gb, "deterministic": deterministic or None}
    with contextlib.ExitStack() as held:
        with _told_once():
            asked = (task, size, stage, settings or [], options)
            variants = [chosen_configs(*asked)] if seeds is None else seed_configs(*asked, seeds)
            configs = variants[0]
            if (gpu or price_per_hour is not None) and not dry_run:
                raise ConfigError("--gpu and --price-per-hour are for what --dry-run tells; give that too")
            gpu = known_gpu(gpu)
            require_trackers(track or [])
            _require_one_process(configs, fit)
            if start is not None and len(configs) > 1:
                raise ConfigError(f"--start {start} is where one stage begins; name it with --stage")
            base = out or Path("runs") / run_name(configs)
            plan_test = functools.partial(planned_test, stage=stage, data=test_data, device=device)
            test = plan_test(configs[-1], base / seed_name(0) if seeds else base)
            device = pick_device(device)
            if not dry_run:
                require_writable(base)
            watched = mirrored(base, settings_of, writes=nothing) if dry_run else mirrored(base, history=METRICS_FILE)
            place = held.enter_context(watched)
            _require_own_folder(configs[0], place.folder, has_seeds=seeds is not None)
            table = None if patients is None else pulled(patients)
            if fit is not None:
                where = "cuda" if gpu else device
                variants = [fitted(one, data, validation_data, table, fit, where) for one in variants]
            runs = planned_runs(variants, base, place)
            if dry_run:
                if is_first():
                    folders = [one.folder for one in runs[0].places]
                    show_plan(runs[0].configs, data, validation_data, table, folders, device, gpu, price_per_hour, test)
                    show_times(len(runs))
                return
            begin = None if start is None else pulled(start)

        def train_one(one: OneRun) -> None:
            run_stages(
                one.configs,
                one.places,
                data,
                validation_data=validation_data,
                patients=table,
                start=begin or _previous_stage(context, stage, one, base),
                trackers=track,
                device=device,
            )

        chosen = train_runs(runs, place.folder, train_one)
    if test and (test := plan_test(chosen.configs[-1], chosen.out)):
        score_run(chosen.configs[-1], test, device)
    elif is_first():
        _show_next(chosen.configs[-1], chosen.out, data[0], validation_data)
    _show_mlflow(runs if "mlflow" in (track or []) else [])


def _require_own_folder(config: "AnyRunConfig", base: Path, *, has_seeds: bool) -> None:
    """Stop before one run is mixed with stages, or with seeds: nobody could say which of them the folder means."""
    has_run, has_stages = (base / CONFIG_FILE).exists(), any(base.glob(f"stage-*/{CONFIG_FILE}"))
    if (has_run or has_stages) and has_seeds:
        raise ConfigError(f"{base} holds one run, and --seeds trains several; choose another --out")
    if not has_seeds and any(base.glob(f"{SEED_FOLDERS}/**/{CONFIG_FILE}")):
        raise ConfigError(f"{base} holds runs of several seeds; give --seeds, or choose another --out")
    if (has_run and config.stage) or (has_stages and not config.stage):
        found = "a run without stages" if has_run else "the stages of a run"
        raise ConfigError(f"{base} holds {found}, and {config.task} is another kind; choose another --out")


def run_stages(
    configs: Sequence["AnyRunConfig"],
    places: Sequence["Place"],
    data: Location | Sequence[Location],
    *,
    validation_data: Location | None = None,
    patients: Path | None = None,
    start: Path | None = None,
    trackers: list[str] | None = None,
    device: str = "cpu",
) -> None:
    """Train one stage after the other, each from the one before, or until somebody asks to stop.

    Raises:
        Exit: Somebody asked to stop; what was done is kept.
        MrikitError: See `mrikit.training.train`.
    """
    for config, place in zip(configs, places, strict=True):
        summary = run(
            config,
            data,
            place,
            validation_data=validation_data,
            patients=patients,
            start=start,
            trackers=trackers,
            device=device,
        )
        if summary.signal is not None:
            raise typer.Exit(128 + summary.signal)
        start = place.folder


def _require_one_process(configs: Sequence["AnyRunConfig"], fit: str | None) -> None:
    """Refuse to fit in several processes, and to learn a policy, before a stage ahead of it is trained for hours."""
    if fit is not None and num_processes() > 1:
        raise ConfigError(
            "--fit looks at the data before the processes meet; ask one process with --dry-run, and give what it names "
            "with --set"
        )
    for config in filter(is_policy, configs):
        from mrikit.acquire.learning.train import require_one_process

        require_one_process(config)


def _previous_stage(context: typer.Context, stage: int | None, one: OneRun, base: Location) -> Path | None:
    """The run that the named stage begins with; None for the first, and for one that goes on and needs it no more."""
    from mrikit.checkpoint import find_checkpoints
    from mrikit.run_files import WEIGHTS_FILE
    from mrikit.storage import shown

    config, folder = one.configs[0], one.place.folder
    if stage is None or config.stage < 2 or (is_policy(config) and config.reconstructor):
        return None
    # A policy needs its reconstructor also where it goes on.
    if find_checkpoints(folder / f"stage-{config.stage}") and not is_policy(config):
        return None
    previous = folder / f"stage-{config.stage - 1}"
    if not (previous / WEIGHTS_FILE).exists():
        same = words_of(context, leaving_out=("on", "stage", "out", "test_data"))
        command = shlex.join(["mrikit", *same, "--stage", str(config.stage - 1), "--out", str(base)])
        with _told_once():
            raise ConfigError(
                f"stage {config.stage} begins with stage {config.stage - 1}, which has no weights in "
                f"{shown(previous)}; make them with `{command}`, or name others with --start"
            )
    say(f"stage {config.stage} begins with the weights in {shown(previous)}")
    return previous


def _show_next(config: "AnyRunConfig", base: Location, data: Location, validation_data: Location | None) -> None:
    words: list[object] = ["--weights", base, "--data", validation_data or data, "--out", beside(base, "-recon")]
    # Scores of what was trained on say nothing; volumes for validation alone are new anyway.
    held_out = ["--held-out"] if validation_data is None and config.data.num_validation else []
    if is_policy(config):
        typer.echo(f"next: {in_shell('acquire', *words, *held_out)}")
        return
    if config.objective == "anatomy":
        words = ["--task", "auto", "--weights", base, "--weights", "RUNS", "--data", "DATA", "--out", "RECON"]
    else:
        words += [*mask_words(config), *held_out]
    if config.objective == "orientation":
        judged = ["--classifier", base, "--recon", "RECON", "--recon", "RECON-transposed"]
        typer.echo(f"next: {in_shell('evaluate', '--scorer', 'banding', *judged)}")
    else:
        typer.echo(f"next: {in_shell('reconstruct', *words)}")
    typer.echo(f"      {in_shell('report', base)}")


def _show_mlflow(runs: Sequence[OneRun]) -> None:
    """How to open what MLflow keeps beside the runs that lie here."""
    from mrikit.runs.trackers.mlflow import local_stores

    folders = [place.folder for one in runs if isinstance(one.out, Path) for place in one.places]
    for command in local_stores(folders) if folders and is_first() else ():
        typer.echo(f"      {command}  # all of MLflow: pip install mlflow")


@contextlib.contextmanager
def _told_once() -> Iterator[None]:
    """What all processes find wrong, because they were started alike, the first one tells."""
    try:
        yield
    except MrikitError:
        if is_first():
            raise
        leave_the_word_to_another()
