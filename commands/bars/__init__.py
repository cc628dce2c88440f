"""`tradebot bars`: fetch, import, list and check price bars; one module per verb."""

from commands.shared.declaration import group

group("bars", "Fetch, import, list and check price bars.")
