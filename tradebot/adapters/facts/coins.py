"""What the registry knows of each symbol, a row each."""

import json
from collections.abc import Iterable, Mapping

from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.registry import Coin

TABLE = "CREATE TABLE coins (symbol TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (symbol)) WITHOUT ROWID"


def read(database: CacheConnection) -> Mapping[str, Coin]:
    """Return what is known of each symbol."""
    rows = database.execute("SELECT symbol, body FROM coins ORDER BY symbol")
    return {symbol: decode(Coin, json.loads(body)) for symbol, body in rows}


def write(database: CacheConnection, coins: Iterable[Coin]) -> None:
    """Write what is known of these symbols, inside a transaction."""
    rows = [(coin.symbol, json_text(encode(coin))) for coin in coins]
    database.executemany("DELETE FROM main.coins WHERE symbol = ?", [(symbol,) for symbol, _ in rows])
    database.executemany("INSERT INTO main.coins (symbol, body) VALUES (?, ?)", rows)
