"""`mrikit weights ...`: say what weights are, and bring those of other programs in."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mrikit.commands.first_steps import show_first_steps
from mrikit.commands.places import AS_LOCATION, Location, weights_of
from mrikit.words import in_shell

app = typer.Typer(
    name="weights",
    help="Say what weights are, and bring published ones in.",
    rich_markup_mode=None,
)
show_first_steps(
    app,
    "mrikit weights info runs/knee_acc8-promptmr-tiny",
    "mrikit weights import varnet_knee.pt --from fastmri-varnet --out runs/varnet_knee.safetensors",
)


class Source(StrEnum):
    """What `--from` knows: the keys of `mrikit.checkpoint.SOURCES`, which needs torch."""

    FASTMRI_VARNET = "fastmri-varnet"
    FASTMRI_UNET = "fastmri-unet"
    ADAPTIVE_VARNET = "adaptive-varnet"
    BANDING_REMOVAL = "banding-removal"
    PROMPTMR = "promptmr"
    PROMPTMR_PLUS = "promptmr-plus"
    SNU_CHALLENGE = "snu-challenge"


@app.command()
def info(
    weights: Annotated[
        Location,
        typer.Argument(**AS_LOCATION, help="A weights file, a checkpoint, or the folder of a training run."),
    ],
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    is_card: Annotated[bool, typer.Option("--card", help="Print the model card, as Markdown.")] = False,
) -> None:
    """Say which network WEIGHTS are for, whose they are, how it was trained; check that they fit it."""
    import json

    from mrikit.checkpoint import as_lines, build_trained_model, describe, load_weights, make_card
    from mrikit.storage import named_as_locations, pulled, shown

    if is_json and is_card:
        raise typer.BadParameter("--json and --card are two ways to print the same; give one")
    with named_as_locations():
        found = load_weights(pulled(weights, weights_of))
        build_trained_model(found)
    facts = describe(found)
    if is_card:
        typer.echo(make_card(facts), nl=False)
        return
    facts = {"path": shown(found.path), **facts}
    if is_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    lines = as_lines(facts)
    width = max(map(len, lines))
    for name, text in lines.items():
        typer.echo(f"{name:{width}}  {text}")


@app.command("import")
def import_file(
    file: Annotated[
        Location,
        typer.Argument(
            **AS_LOCATION,
            help="A state dict or a checkpoint of Lightning (.pt, .pth, .ckpt), a .safetensors file, or a "
            "checkpoint folder of DeepSpeed.",
        ),
    ],
    source: Annotated[Source, typer.Option("--from", help="Whose weights they are.")],
    out: Annotated[
        Location,
        typer.Option(**AS_LOCATION, help="The weights file to write, .safetensors; its card is NAME.md beside it."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting of the network that FILE does not tell, such as n_buffer=4, task=knee or "
            "mask_center=false; repeatable.",
        ),
    ] = None,
) -> None:
    """Write published weights as weights of mrikit, with a model card. Code in FILE is not run."""
    from mrikit.checkpoint import as_text, card_path, describe, import_weights
    from mrikit.config import parse_assignments
    from mrikit.errors import ConfigError
    from mrikit.storage import mirrored, nothing, only, pulled

    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are a .safetensors file, found --out {out}")
    card = card_path(Path(out.name)).name
    with mirrored(out.parent, nothing, writes=only(out.name, card)) as place:
        target = place.folder / out.name
        for path in (target, card_path(target)):
            if path.exists() or path.name in place.names:
                raise ConfigError(f"{path}: there already; choose another --out or remove it")
        found = import_weights(pulled(file), target, source.value, parse_assignments(settings or []))
    facts = describe(found)
    typer.echo(f"{found.model}, {facts['parameters']:,} parameters, {as_text(found.model_config)}; in {out}")
    typer.echo(f"licence: {facts['licence']}")
    typer.echo(f"card: {out.with_name(card)}")
    words = ("--data", "DATA", "--out", "RECON", "--weights", out, *_mask_options(facts))
    typer.echo(f"next: {in_shell('reconstruct', *words)}")


def _mask_options(facts: dict[str, Any]) -> list[str]:
    """How to undersample full scans as the weights are used to, where that is known."""
    from mrikit.masks import setting_options

    if not facts.get("masks"):
        return ["--acceleration", "4"]
    plan = facts["masks"][0]
    words = ["--acceleration", f"{plan['acceleration']:g}", "--mask", plan["kind"]]
    words += ["--center-fraction", f"{plan['center_fraction']:g}"]
    return [*words, *setting_options(plan.get("settings", {}))]
