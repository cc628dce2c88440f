"""What symbols were worth some sessions later: by stored daily closes, or else in the last kept pass of a session."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

from commands.why_no_orders.reading import JOB
from commands.why_no_orders.what_if import Asking
from tradebot.model.bar import Quote
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.writing import RecordError
from tradebot.views.what_if_span import HORIZONS, Later

LONG = timedelta(days=60)
"""In so many days there are more sessions than the longest horizon has."""


def later_prices(asking: Asking, orders: Sequence[Filled]) -> Later:
    """Return the prices of these orders' symbols at each horizon. What isn't known is absent: nothing is fetched."""
    return dict(_found(asking, orders))


def _found(asking: Asking, orders: Sequence[Filled]) -> Iterator[tuple[tuple[str, date, int], Decimal]]:
    seen = cache(lambda session: _seen_in(asking, session))
    for symbol, session in dict.fromkeys((one.symbol, one.intent.key.session) for one in orders):
        days = [one.date for one in asking.app.ledger_view.sessions(session, session + LONG)]
        wanted = {count: days[count] for count in HORIZONS if count < len(days)}
        bars = asking.app.bars_at_rest
        closes = bars.closes(symbol, session, max(wanted.values())) if bars and wanted else {}
        for count, day in wanted.items():
            if day in closes:
                yield (symbol, session, count), Decimal(str(closes[day]))
            elif (quote := seen(day).get(symbol)) is not None:
                yield (symbol, session, count), quote.middle


def _seen_in(asking: Asking, session: date) -> Mapping[str, Quote]:
    """Return the quotes that the last kept pass of a session saw; none if no pass of it is kept."""
    facts = asking.app.recorded
    heads = facts.heads(JOB, session=session) if facts else ()
    try:
        return asking.recorded(heads[-1]).given.desk.quotes if heads else {}
    except RecordError:
        return {}
