"""`tradebot exchange`: serve, inspect, advance and reset the embedded exchange; one module per verb."""

from commands.shared.declaration import group

group("exchange", "Serve, inspect and control the embedded exchange.")
