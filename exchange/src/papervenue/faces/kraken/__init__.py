"""Kraken Futures' API for a margin exchange: REST v3, history, charts and feeds."""
