"""Kraken Futures' API: REST v3, the history, charts and feeds, over a margin exchange."""
