"""Headlines from a source besides the flow: the fields of their rows, and the period that one request covers."""

from datetime import datetime, timedelta
from functools import cache

from tradebot.model.fact_kind import AnyKind, parse_field_types
from tradebot.model.flow import NEWS
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import kind_of

WINDOW = timedelta(hours=1)
"""How far back headlines are counted, and so requested at most."""
OVERLAP = timedelta(minutes=5)
"""How far before the last reply a request begins, because sources list headlines a while after they are published."""


@cache
def headlines_kind() -> AnyKind:
    """Return the kind `news` with the row fields that the adapter of a separate headline source produces."""
    return replace(kind_of(NEWS), fields=parse_field_types("text* id, text created_at headline, list tickers"))


def period_start(now: datetime, last: datetime | None) -> datetime:
    """Return the time from which on to request headlines, given when the last reply came."""
    return now - WINDOW if last is None else max(now - WINDOW, last - OVERLAP)
