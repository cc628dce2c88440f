"""`tradebot watchdog`: an independent watch over bots, with channels and a memory of its own."""
