"""`mrikit score-card`: a frozen score that two groups compute alike."""

import contextlib
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrikit.commands.places import AS_LOCATION, Location
from mrikit.commands.progress import Progress

if TYPE_CHECKING:
    from mrikit.evaluate.score_card import Needed


def score_card(
    data: Annotated[
        Location,
        typer.Argument(**AS_LOCATION, help="Folder of fully sampled volumes, such as fastMRI's multicoil_val."),
    ],
    recon: Annotated[
        list[Location] | None,
        typer.Option(**AS_LOCATION, help="Folder that `mrikit reconstruct` wrote, or one of several such; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the card; the one that holds all --recon folders by default.")
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(help="Make the card for these files: another card, whose digests must hold, or a list of names."),
    ] = None,
    is_list: Annotated[
        bool, typer.Option("--list", help="Print which volumes and masks are needed, and how to reconstruct them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Score reconstructions of DATA by a fixed rule, and write a card with everything that the scores depend on."""
    from mrikit.errors import ConfigError
    from mrikit.evaluate.score_card import find_needed, make_card, read_frozen_list, write_card
    from mrikit.storage import mirrored, nothing, shown

    if not recon and not is_list:
        raise ConfigError("a score card needs --recon; `mrikit score-card DATA --list` says what to reconstruct")
    frozen = read_frozen_list(files) if files else None
    needed = find_needed(data, frozen)
    if is_list:
        typer.echo(json.dumps(_listed(needed), indent=2) if as_json else "\n".join(_list_lines(data, needed)))
        return
    with contextlib.ExitStack() as held:
        folders = [held.enter_context(mirrored(location, writes=nothing)).folder for location in recon or ()]
        folder = out or Path(os.path.commonpath([path.resolve() for path in folders]))
        total = len(needed.files) * 3  # digested once, and scored at most twice
        with Progress("scoring", "files", total) as progress:
            card = make_card(folders, needed, frozen, on_file=lambda: progress.advance(1))
        written = write_card(folder, card)
    for warning in _warnings(card):
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(card, indent=2, allow_nan=False))
        return
    _show(card)
    for path in written:
        typer.echo(shown(path))


def _listed(needed: "Needed") -> dict[str, Any]:
    """What is needed, as JSON."""
    from mrikit.evaluate.score_card import PLANS, RULE, volume_name

    return {
        "rule": RULE,
        "files": [volume_name(file) for file in needed.files],
        "masks": [plan.facts for plan in PLANS],
        "left_out": dict(needed.left_out),
    }


def _list_lines(data: Location, needed: "Needed") -> list[str]:
    """What is needed, and the commands that make it."""
    from mrikit.evaluate.score_card import PLANS, RULE, reconstruct_words, volume_name

    folders = [f"recon/acc{plan.acceleration:g}" for plan in PLANS]
    num_slices = sum(file.num_slices for file in needed.files)
    made = [
        ["mrikit", "reconstruct", "--data", str(data), "--out", folder, *reconstruct_words(plan)]
        for plan, folder in zip(PLANS, folders, strict=True)
    ]
    scored = ["mrikit", "score-card", str(data), *(word for folder in folders for word in ("--recon", folder))]
    return [
        f"{RULE}: {len(needed.files)} volumes, {num_slices} slices{_left_out(needed.left_out)}",
        *(f"{volume_name(file)}  {file.num_slices} slices" for file in needed.files),
        "masks: " + "; ".join(f"{plan.kind} {plan.acceleration:g}x, seeded by the file name" for plan in PLANS),
        "make them, with --weights or --model of your own:",
        *(f"  {shlex.join(words)}" for words in made),
        f"next: {shlex.join(scored)}",
    ]


def _show(card: dict[str, Any]) -> None:
    """Print the table of a card."""
    from rich.console import Console
    from rich.table import Table

    from mrikit.evaluate.score_card import interval_words

    typer.echo(f"{card['rule']['name']}: {len(card['files'])} volumes{_left_out(card['left_out'])}")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("R", "acquisition"):
        table.add_column(name)
    for name in ("volumes", "SSIM [95 % interval]", "PSNR dB", "NMSE"):
        table.add_column(name, justify="right")
    for line in card["table"]:
        scores = (interval_words(line[name], digits) for name, digits in (("ssim", 4), ("psnr", 2), ("nmse", 4)))
        table.add_row(f"{line['acceleration']:g}x", line["acquisition"] or "all", str(line["num_volumes"]), *scores)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)
    for run in card["runs"]:
        models = ", ".join(dict.fromkeys(method["model"] for method in run["methods"]))
        typer.echo(f"{run['acceleration']:g}x {models}: {_cost(run)}")


def _cost(run: dict[str, Any]) -> str:
    from mrikit.words import in_bytes

    time = "not timed" if run["seconds_per_slice"] is None else f"{run['seconds_per_slice']:.3g} s a slice"
    memory = f", {in_bytes(run['peak_memory_bytes'])} of memory" if run["peak_memory_bytes"] else ""
    return f"{time}{memory}{' on ' + run['device'] if run['device'] else ''}"


def _left_out(reasons: Mapping[str, int]) -> str:
    return "".join(f"; {number} left out: {reason}" for reason, number in reasons.items())


def _warnings(card: dict[str, Any]) -> list[str]:
    trained = [
        f"{run['num_trained_on']} of the volumes at {run['acceleration']:g}x were trained on; their scores say nothing "
        "of new ones"
        for run in card["runs"]
        if run["num_trained_on"]
    ]
    absent = [f"no reconstruction at {acceleration:g}x; the card has none" for acceleration in card["not_done"]]
    return [*absent, *trained, *card["notes"]]
