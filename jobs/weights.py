"""`mrikit weights ...`: say what weights are, and bring those of other programs in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mrikit.checkpoint import Weights

app = typer.Typer(
    name="weights",
    help="Say what weights are, and bring published ones in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def info(
    weights: Annotated[Path, typer.Argument(help="A weights file, a checkpoint, or the folder of a training run.")],
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which network WEIGHTS are for, how it was trained and how large it is; check that they fit it."""
    import json

    from mrikit.checkpoint import build_trained_model, load_weights

    found = load_weights(weights)
    build_trained_model(found)
    facts = _describe(found)
    if is_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:{width}}  {_as_text(value)}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A .pt, .pth, .ckpt or .safetensors file of fastMRI's network.")],
    model: Annotated[str, typer.Option(help="unet or varnet.")],
    out: Annotated[Path, typer.Option(help="The weights file to write, .safetensors.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the network that its shapes do not tell; repeatable."),
    ] = None,
) -> None:
    """Write the weights of fastMRI's U-Net or VarNet as weights of mrikit. Code in FILE is not run."""
    from mrikit.checkpoint import import_weights
    from mrikit.config import parse_assignments
    from mrikit.errors import ConfigError

    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are a .safetensors file, found --out {out}")
    if out.exists():
        raise ConfigError(f"{out}: there already; choose another --out or remove it")
    found = import_weights(file, out, model, parse_assignments(settings or []))
    facts = _describe(found)
    typer.echo(f"{found.model}, {facts['parameters']:,} parameters, {_as_text(found.model_config)}; in {out}")
    typer.echo(f"next: mrikit reconstruct --data DATA --out RECON --weights {out} --acceleration 4")


def _describe(weights: "Weights") -> dict[str, Any]:
    """What is known of weights, as JSON."""
    rest = {name: value for name, value in weights.record.items() if name not in ("model", "model_config", "format")}
    return {
        "path": str(weights.path),
        "model": weights.model,
        "settings": weights.model_config,
        "parameters": sum(tensor.numel() for tensor in weights.tensors.values()),
        **rest,
        "sha256": weights.sha256,
    }


def _as_text(value: Any) -> str:  # noqa: ANN401 - anything that JSON holds
    """One line; what is too deep for it is left to --json."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        if any(isinstance(item, dict | list) for _, item in items):
            return f"{len(value)} entries, see --json"
        return ", ".join(f"{name}={item}" if isinstance(value, dict) else str(item) for name, item in items)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
