"""`tradebot exchange`: serve, inspect, advance and reset the embedded exchange; one module per verb."""
