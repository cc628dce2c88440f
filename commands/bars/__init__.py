"""`tradebot bars`: fetch, import, list and check price bars; one module per verb."""
