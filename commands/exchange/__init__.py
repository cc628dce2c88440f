"""`tradebot exchange`: the embedded exchange, served to other clients, asked, moved and reset; one verb a file."""

import typer

from commands.exchange import faults, page, reset, serve, status, tick

app = typer.Typer(help="Serve, inspect and control the embedded exchange.")
for module in (serve, status, tick, reset, faults, page):
    module.register(app)
