"""`mrikit data ...`: from the download mail to volumes that are known to be whole; one file per command."""

import typer

from mrikit.commands.data.check import check
from mrikit.commands.data.copy import copy
from mrikit.commands.data.import_array import import_array
from mrikit.commands.data.index import index
from mrikit.commands.data.mail import mail
from mrikit.commands.data.unpack import unpack
from mrikit.commands.on import elsewhere

app = typer.Typer(
    name="data",
    help="From the download mail to verified volumes; bring raw arrays in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (mail, copy, elsewhere(unpack), elsewhere(index), check):
    app.command()(command)
app.command("import")(import_array)
