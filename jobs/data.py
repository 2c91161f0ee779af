"""`mrikit data ...`: from the download mail to volumes that are known to be whole; one file per command."""

import typer

from jobs.data_check import check
from jobs.data_copy import copy
from jobs.data_import import import_array
from jobs.data_index import index
from jobs.data_mail import mail
from jobs.data_unpack import unpack
from jobs.elsewhere import elsewhere

app = typer.Typer(
    name="data",
    help="From the download mail to verified volumes; bring raw arrays in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (mail, copy, elsewhere(unpack), elsewhere(index), check):
    app.command()(command)
app.command("import")(import_array)
