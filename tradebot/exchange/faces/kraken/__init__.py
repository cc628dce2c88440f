"""Speak Kraken Futures' API: REST v3, the history, and charts, over a margined exchange."""
