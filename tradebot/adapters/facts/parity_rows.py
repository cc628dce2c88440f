"""How each session compared with its backtest, a row each."""

import json
from collections.abc import Sequence

from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.parity import DayParity

TABLE = "CREATE TABLE parities (session TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session)) WITHOUT ROWID"


def read(database: CacheConnection, last: int) -> Sequence[DayParity]:
    """Return the newest sessions that were compared, oldest first."""
    rows = database.execute("SELECT body FROM parities ORDER BY session DESC LIMIT ?", (last,)).fetchall()
    # Comparisons of earlier releases don't say what a session cost.
    return [decode(DayParity, {"costs_usd": None, **json.loads(body)}) for (body,) in reversed(rows)]


def write(database: CacheConnection, found: DayParity) -> None:
    """Write how a session compared, inside a transaction, in the place of an earlier comparison."""
    day = found.session.isoformat()
    database.execute("DELETE FROM main.parities WHERE session = ?", (day,))
    database.execute("INSERT INTO main.parities (session, body) VALUES (?, ?)", (day, json_text(encode(found))))
