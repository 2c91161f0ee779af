"""`mrikit data ...`: from the download mail to volumes that are known to be whole; one file per command."""

import typer

from mrikit.commands.data.check import check
from mrikit.commands.data.copy import copy
from mrikit.commands.data.copy_on import natural_copy, submit_copy
from mrikit.commands.data.import_array import import_array
from mrikit.commands.data.index import index
from mrikit.commands.data.mail import mail
from mrikit.commands.data.unpack import unpack
from mrikit.commands.first_steps import show_first_steps
from mrikit.commands.on import elsewhere

app = typer.Typer(
    name="data",
    help="From the download mail to verified volumes; bring raw arrays in.",
    rich_markup_mode=None,
)
show_first_steps(
    app,
    "mrikit data mail curl.txt                     what the mail offers, and until when",
    "mrikit data copy curl.txt --to data           downloads it",
    "mrikit data unpack data --to data             makes volumes of it",
)
copying = elsewhere(copy, natural=natural_copy, submit=submit_copy)
for command in (mail, copying, elsewhere(unpack), elsewhere(index), check):
    app.command()(command)
app.command("import")(import_array)
