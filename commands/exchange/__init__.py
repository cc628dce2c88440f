"""`tradebot exchange`: the embedded exchange, served to other clients, asked, moved and reset; one verb a file."""

import typer

from commands.exchange import faults, page, reset, serve, status, tick

app = typer.Typer(help="The embedded exchange: serve it to other clients, look at it, move its time, begin anew.")
for module in (serve, status, tick, reset, faults, page):
    module.register(app)
