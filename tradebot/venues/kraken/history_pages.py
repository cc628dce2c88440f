"""Read the history page by page: orders, triggers, executions, and the account log.

A key may ask for a hundred pages in ten minutes, so the questions of one moment share pages: what is asked about many
orders costs no more than what is asked about one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import is_not
from typing import Any

from msgspec import Struct

from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError, utc
from tradebot.errors import TemporaryError
from tradebot.model.order import Order
from tradebot.venues.kraken.account_id import AccountNumber
from tradebot.venues.kraken.client import HISTORY, Client
from tradebot.venues.kraken.history import OrderHistory, past, time_of
from tradebot.venues.kraken.rows import milliseconds

MOST_PAGES = 100
"""The most pages of one list. A longer one isn't complete, so it is refused instead of cut."""
ROWS = 500
SHARED = timedelta(seconds=2)
"""How old pages may be that another question shares. They say of when they are, and the history is late anyway."""


class _Told(Struct):
    """The newest elements of a list, newest first, as of the venue's time; without a token there are no older ones."""

    elements: list[object]
    token: str
    told_at: datetime


class HistoryPages:
    """The history of one account."""

    def __init__(self, client: Client, number: AccountNumber, tally: DriftTally) -> None:
        self._client, self._number, self._tally = client, number, tally
        self._lists: dict[str, _Told] = {}
        self._sizes: Mapping[tuple[str, datetime | None], Decimal] = {}
        self._read: tuple[tuple[_Told, ...], OrderHistory] | None = None

    def account(self) -> str:
        """Return the account's number, which only answers of the history have."""
        if not self._number.cached_id:
            self._page("executions", count="1")
        return self._number.cached_id

    def past(self, since: datetime | None = None, now: datetime | None = None) -> OrderHistory:
        """Return what the history tells of orders since a time, or on its newest pages.

        Of the venue's time `now`, pages that were read just before may be used; without it, they are read anew.
        """
        told = tuple(self._told(name, since, now) for name in ("orders", "triggers", "executions"))
        if self._read is None or any(map(is_not, told, self._read[0])):
            orders, triggers, executions = told
            oldest, events = min(one.told_at for one in told), [*orders.elements, *triggers.elements]
            self._read = told, past(events, executions.elements, oldest, self._number.cached_id, self._tally)
        return self._read[1]

    def sizes(self, lacking: Collection[Order], now: datetime | None) -> Mapping[str, Decimal]:
        """Return the quantities of triggers that don't say them, by the venue's ids, as far as the history has them.

        What was read once isn't asked for again while a trigger hasn't changed.
        """
        wanted = {(one.venue_id, one.updated_at): one for one in lacking}
        known = {key: size for key, size in self._sizes.items() if key in wanted}
        new = [one for key, one in wanted.items() if key not in known]
        since = min((one.submitted_at for one in new if one.submitted_at is not None), default=None)
        # What was placed since the pages were read is on newer ones.
        for moment in (now, None) if new else ():
            told = self._told("triggers", since, moment)
            placed = past(told.elements, (), told.told_at, self._number.cached_id, self._tally).orders
            for one in new:
                size = placed[one.venue_id].quantity if one.venue_id in placed else None
                if size:
                    known[one.venue_id, one.updated_at] = size
            if len(known) == len(wanted) or now is None or told.told_at >= now:
                break
        self._sizes = known
        return {venue_id: size for (venue_id, _), size in known.items()}

    def executions(self, since: datetime) -> Sequence[object]:
        """Return the executions of the history since a time, and some older ones."""
        return self._told("executions", since, None).elements

    def log(self, after: datetime, **until: str) -> list[object]:
        """Return rows of the account log after a time, the newest first, `before` a time or `to` an id if given."""
        answer = self._client.read(f"{HISTORY}/account-log", since=milliseconds(after), count=str(ROWS), **until)
        self._keep_number(answer)
        rows = answer.get("logs")
        if not isinstance(rows, list):
            raise TemporaryError("the account log holds no list")
        return rows

    def _told(self, what: str, since: datetime | None, now: datetime | None) -> _Told:
        """Return a list's newest elements, at least those since a time."""
        told = self._lists.get(what)
        if told is None or now is None or not timedelta(0) <= now - told.told_at < SHARED:
            answer = self._page(what, count=str(ROWS))
            told = self._lists[what] = _Told(answer["elements"], _token(answer), told_at(answer))
        for _ in range(MOST_PAGES):
            if since is None or not told.token or _reaches(told, since):
                return told
            told = self._longer(what, told)
        raise TemporaryError(f"the history has more {what} than {MOST_PAGES} pages hold")

    def _longer(self, what: str, told: _Told) -> _Told:
        answer = self._page(what, count=str(ROWS), continuation_token=told.token)
        if _token(answer) == told.token:
            raise TemporaryError(f"the history of {what} repeats a page")
        longer = self._lists[what] = _Told([*told.elements, *answer["elements"]], _token(answer), told.told_at)
        return longer

    def _page(self, what: str, **asked: str) -> Mapping[str, Any]:
        answer = self._client.read(f"{HISTORY}/{what}", sort="desc", **asked)
        self._keep_number(answer)
        if not isinstance(answer.get("elements"), list):
            raise TemporaryError(f"the history of {what} holds no list")
        return answer

    def _keep_number(self, answer: Mapping[str, Any]) -> None:
        try:
            self._number.keep(JsonFields("history", answer, self._tally).text("accountUid"))
        except RowError as error:
            raise TemporaryError(f"the history doesn't name its account: {error}") from error


def _token(answer: Mapping[str, Any]) -> str:
    return str(answer.get("continuationToken") or "")


def told_at(answer: Mapping[str, Any]) -> datetime:
    """Return the venue's time in an answer; raise TemporaryError if it has none."""
    told = answer.get("serverTime")
    try:
        return utc("serverTime", told if isinstance(told, str) else "")
    except RowError as error:
        raise TemporaryError(f"the venue's time can't be read: {error}") from error


def _reaches(told: _Told, since: datetime) -> bool:
    first = Decimal(milliseconds(since))
    return any(0 < time_of(element) < first for element in told.elements)
