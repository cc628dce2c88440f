"""`tradebot bars`: fetch, import, list and check price bars; one module per verb."""

import typer

from commands.bars import check, fetch, import_files, listing

app = typer.Typer(help="Fetch, import, list and check price bars.", no_args_is_help=True)
for module in (fetch, import_files, listing, check):
    module.register(app)
