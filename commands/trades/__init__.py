"""`tradebot trades`: each position from its entry to its end, and what it earned."""
