"""What the registry knows of each symbol, a row each, and what was discovered last, in one row."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.registry import Coin, Discovery

TABLE = "CREATE TABLE coins (symbol TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (symbol)) WITHOUT ROWID"
DISCOVERY = "CREATE TABLE discovery (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)"


def read(database: CacheConnection) -> Mapping[str, Coin]:
    """Return what is known of each symbol."""
    rows = database.execute("SELECT symbol, body FROM coins ORDER BY symbol")
    return {symbol: decode(Coin, json.loads(body)) for symbol, body in rows}


def write(database: CacheConnection, coins: Iterable[Coin]) -> None:
    """Write what is known of these symbols, inside a transaction."""
    rows = [(coin.symbol, json_text(encode(coin))) for coin in coins]
    database.executemany("DELETE FROM main.coins WHERE symbol = ?", [(symbol,) for symbol, _ in rows])
    database.executemany("INSERT INTO main.coins (symbol, body) VALUES (?, ?)", rows)


def discovery(database: CacheConnection) -> Discovery:
    """Return what was discovered last."""
    row = database.execute("SELECT body FROM discovery").fetchone()
    return _decoded(row[0]) if row else Discovery()


def put_discovery(database: CacheConnection, found: Discovery) -> None:
    """Write what was discovered, inside a transaction."""
    database.execute("DELETE FROM main.discovery")
    database.execute("INSERT INTO main.discovery (id, body) VALUES (1, ?)", (json_text(encode(found)),))


# Each pass asks several times, and it changes once a day.
@lru_cache(maxsize=2)
def _decoded(body: str) -> Discovery:
    return decode(Discovery, json.loads(body))
