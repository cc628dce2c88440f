"""Limits that follow from how earlier positions ended. Each returns None while it is off."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from tradebot.gates.common import answer
from tradebot.model.decision import Decision, Gate
from tradebot.model.desk import Book
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason

DAY = timedelta(days=1)


def loss_streak(book: Book, limits: Limits, now: datetime) -> Decision | None:
    """Compare the number of newest round trips in a row that lost money with its limit, unless the wait has passed.

    Round trips are the account's or a strategy's, as the book is. A streak ends with the first one that didn't lose.
    """
    limit, wait_s = limits.max_loss_streak, limits.loss_streak_wait_s
    if limit is None or wait_s is None:
        return None
    lost = tuple(takewhile(lambda trip: trip.profit < 0, reversed(book.round_trips)))
    waited = (now - lost[0].closed_at).total_seconds() if lost else None
    over = waited is not None and waited >= wait_s
    return answer(Gate.LOSS_STREAK, len(lost) < limit or over, Reason.LOSS_STREAK, len(lost), limit, waited)


def loss_cooldown(book: Book, limits: Limits, symbol: str, now: datetime) -> Decision | None:
    """Compare the time since the last loss in a symbol with the wait after a loss."""
    limit = limits.loss_cooldown_s
    if limit is None:
        return None
    last = _last_loss(book, symbol)
    waited = (now - last).total_seconds() if last else None
    passed = waited is None or waited >= limit
    return answer(Gate.LOSS_COOLDOWN, passed, Reason.LOSS_COOLDOWN, waited, limit, waited)


def wash_sale(book: Book, limits: Limits, symbol: str, now: datetime) -> Decision | None:
    """Compare the days since the last loss in a symbol with the window in which buying it back is a wash sale.

    The source is 26 U.S.C. 1091: a loss doesn't count if the same stock is bought within 30 days of the sale.
    """
    limit = limits.wash_sale_days
    if limit is None:
        return None
    last = _last_loss(book, symbol)
    days = (now - last) // DAY if last else None
    return answer(Gate.WASH_SALE, days is None or days > limit, Reason.WASH_SALE, days, limit)


def monitors(book: Book, limits: Limits, now: datetime) -> Iterator[tuple[str, Decision]]:
    """Yield the decision on the account's, or a strategy's, newest round trips as they are."""
    streak = loss_streak(book, limits, now)
    if streak:
        yield "", streak


def _last_loss(book: Book, symbol: str) -> datetime | None:
    return max((at for (_, lost), at in book.lost_at.items() if lost == symbol), default=None)
