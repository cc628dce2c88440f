"""Count where candidates ended, symbol by symbol, from the sums of the passes."""

from collections import Counter, defaultdict
from datetime import date, datetime

from tradebot.adapters.facts.ends import Alike, sums_of
from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.model.decision import Gate
from tradebot.model.record import Ended, EndedPasses

PASSES = """SELECT sequence, at FROM cycles WHERE job = ?1 AND (?2 IS NULL OR at >= ?2)
    AND (?3 IS NULL OR body ->> '$[2]' = ?3) ORDER BY at DESC, sequence DESC LIMIT ?4"""
GATE, ABOUT, PLACE, UNKNOWN, SYMBOLS = (
    Alike._fields.index(n) for n in ("gate", "about", "place", "unknown", "symbols")
)


def ended(
    database: CacheConnection,
    job: str,
    *,
    last: int = -1,
    since: datetime | None = None,
    session: date | None = None,
    strategy: str | None = None,
) -> EndedPasses:
    """Return where the candidates of a job's newest passes ended, of one strategy or of all; -1 is every pass."""
    span = job, time_text(since) if since else None, session.isoformat() if session else None, last
    passes = dict(database.execute(PASSES, span).fetchall())
    counts = defaultdict[tuple[str | None, str, str | None], Counter[str]](Counter)
    places = dict[tuple[str | None, str, str | None], int]()
    for _, groups in sums_of(database, passes):
        for group in groups:
            if strategy is None or group[0] == strategy:
                key = group[GATE], group[ABOUT], group[UNKNOWN]
                counts[key].update(group[SYMBOLS])
                places[key] = max(places.get(key, 0), group[PLACE])
    times = sorted(passes.values())
    return EndedPasses(
        len(passes),
        parse_time(times[0]) if times else None,
        parse_time(times[-1]) if times else None,
        tuple(
            Ended(symbol, Gate(gate) if gate else None, about, places[gate, about, unknown], unknown, count)
            for (gate, about, unknown), of_symbols in counts.items()
            for symbol, count in of_symbols.items()
        ),
    )
