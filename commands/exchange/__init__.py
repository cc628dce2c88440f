"""`tradebot exchange`: serve, inspect, advance and reset the embedded exchange; one module per verb."""

import typer

from commands.exchange import faults, page, reset, serve, status, tick

app = typer.Typer(help="Serve, inspect and control the embedded exchange.")
for module in (serve, status, tick, reset, faults, page):
    module.register(app)
