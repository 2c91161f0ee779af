"""`mrikit sweep ...`: one training many times with other settings, and what came of it."""

from typing import Any

import typer
from typer.core import TyperGroup

from mrikit.commands.sweep.run import sweep
from mrikit.commands.sweep.show import show


class SweepGroup(TyperGroup):
    """Commands of which `run` needs no name: `mrikit sweep FILE` is `mrikit sweep run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer brings a click of its own
        """Read the words of the command, with `run` where none is named."""
        is_named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if is_named else ["run", *args])


app = typer.Typer(
    name="sweep",
    cls=SweepGroup,
    help="Train with many settings, and sum up what came of it. `mrikit sweep FILE` is `mrikit sweep run FILE`.",
    rich_markup_mode=None,
)
app.command("run")(sweep)
app.command()(show)
