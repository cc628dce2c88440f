"""What an account was worth before some days and at their end: the difference is the profit that every screen shows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.record import SessionEnd
from tradebot.views.trades.days import EVER, Days

REACH = timedelta(days=12)
"""So far back the end of the session before one is looked for."""


class Worth(NamedTuple):
    """The broker's equity before some days and at their end, in USD, and when that end was seen."""

    before_usd: Decimal
    after_usd: Decimal
    at: datetime


def worth(ends: Sequence[SessionEnd], opening_usd: Decimal | None, days: Days = EVER) -> Worth | None:
    """Return what the account was worth; None if no pass saw it, or nobody knows what it was before.

    The end is a session's close where that was seen, and else the last look. `ends` are oldest first and begin with the
    session before the days, or with the first one of the books: `opening_usd` is what the account was worth then.
    """
    known = [end for end in ends if end.equity is not None]
    chosen = [end for end in known if days.includes(end.session)]
    if not chosen:
        return None
    earlier = [end.equity for end in known if end.session < chosen[0].session]
    start = chosen[0].last_close or earlier[-1] if earlier else opening_usd or chosen[0].last_close
    last = chosen[-1]
    if start is None or last.equity is None or last.equity_at is None:
        return None
    return Worth(start, last.equity, last.equity_at)
