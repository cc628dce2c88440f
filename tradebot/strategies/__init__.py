"""Built-in strategies, which turn features into candidates. Plug-ins use the entry point tradebot.strategies."""
