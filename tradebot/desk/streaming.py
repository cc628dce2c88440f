"""Store flow alerts from a stream, and fill its gaps from the REST API.

While alerts may be missing, nothing from the stream is stored, so a symbol's last stored reply never hides a gap. The
REST API is queried after each join, whenever rows were lost or couldn't be read, and every few minutes, which also
detects a connected stream that delivers nothing.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta

from msgspec import Struct

from tradebot.errors import ExitCode, TemporaryError, TradebotError
from tradebot.model.bar import Session
from tradebot.model.event import EventKind
from tradebot.model.fact_kind import ReplyScope, Row
from tradebot.model.flow import FLOW_ALERTS, FlowAlert, FlowPage, Intake, Quota, StreamRows
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Events, Facts
from tradebot.ports.world import AlertStream, FlowSource
from tradebot.signals.fields import BadRowError, about_symbol, as_polled, past_time
from tradebot.signals.normalize import normalize, source_ticker
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND

MOST_SYMBOLS = 50
"""How many symbols one call includes. The source accepts a list; this limit bounds the address's length."""
FULL_PAGE = 200
"""How many rows a full page has. A page with fewer is the last."""
MOST_PAGES = 50
_PATH = "/api/option-trades/flow-alerts"
_OVERLAP = timedelta(seconds=1)


class Refilled(Struct, frozen=True):
    """The alerts that the REST API has for some symbols since a time: one page per symbol, even without alerts.

    `intakes` are the same pages, parsed. `about` has what the rows say about their symbols.
    """

    calls: int
    pages: tuple[FlowPage, ...]
    intakes: tuple[Intake, ...]
    about: Mapping[str, Row]


def refill(
    flow: FlowSource, symbols: Sequence[str], since: datetime, session: date, now: Callable[[], datetime]
) -> Refilled:
    """Return all alerts of these symbols since a time; raise TemporaryError if any can't be fetched."""
    calls, flow_pages, intakes, about = 0, list[FlowPage](), list[Intake](), dict[str, Row]()
    for first in range(0, len(symbols), MOST_SYMBOLS):
        some = symbols[first : first + MOST_SYMBOLS]
        pages = list(_pages(flow, some, since, session, now))
        calls += len(pages)
        at = pages[-1].told_at or now()
        for symbol, rows in _by_symbol(some, pages).items():
            page = page_of(symbol, rows, pages[-1].quota, at)
            intake = normalize(FLOW_ALERTS_KIND, page, at)
            flow_pages.append(page)
            intakes.append(intake)
            if intake.facts:
                about |= _about(symbol, rows)
    return Refilled(calls, tuple(flow_pages), tuple(intakes), about)


def page_of(symbol: str, rows: Sequence[object], quota: Quota, at: datetime) -> FlowPage:
    """Build a page of a symbol's rows, as if one reply at `at` had contained them, so that it can be archived like a
    reply.
    """
    body = json.dumps({"data": list(rows)}, default=float).encode()
    return FlowPage(FLOW_ALERTS, symbol, tuple(rows), quota, at, body=body)


def _about(symbol: str, rows: Sequence[object]) -> Mapping[str, Row]:
    ticker = source_ticker(symbol).upper()
    own = (row for row in rows if isinstance(row, dict) and str(row.get("ticker")).upper() == ticker)
    first = next(own, None)
    return {} if first is None else {symbol: about_symbol(first)}


def _pages(
    flow: FlowSource, symbols: Sequence[str], since: datetime, session: date, now: Callable[[], datetime]
) -> Iterator[FlowPage]:
    """Yield pages, newest first, each ending at the previous one's oldest row, until a page isn't full."""
    older: datetime | None = None
    for _ in range(MOST_PAGES):
        params = {"ticker_symbol": ",".join(map(source_ticker, symbols)), "limit": str(FULL_PAGE)}
        params |= {"newer_than": _text(since)} | ({"older_than": _text(older)} if older else {})
        page = flow.fetch(replace(FLOW_ALERTS_KIND, scope=ReplyScope.MARKET, params=params), None, session)
        yield page
        if len(page.rows) < FULL_PAGE:
            return
        oldest = min(_times(page.rows, page.told_at or now()), default=None)
        # It isn't documented whether a row of exactly that moment is included, so request one second more.
        going_on = None if oldest is None else oldest + _OVERLAP
        if going_on is None or (older is not None and going_on >= older):
            break
        older = going_on
    raise TemporaryError(f"GET {_PATH}: there are more alerts since {_text(since)} than its pages show")


def _times(rows: Sequence[object], at: datetime) -> Iterator[datetime]:
    for row in rows:
        try:
            yield past_time(row if isinstance(row, dict) else {}, "created_at", at)
        except BadRowError:
            continue


def _by_symbol(symbols: Sequence[str], pages: Sequence[FlowPage]) -> Mapping[str, Sequence[object]]:
    """Return each symbol's rows, without duplicates from overlapping pages.

    Rows of other tickers and unreadable ones count for every symbol: the reply isn't what was requested.
    """
    tickers = {source_ticker(symbol).upper(): symbol for symbol in symbols}
    by_symbol: dict[str, list[object]] = {symbol: [] for symbol in symbols}
    parts: set[object] = set()
    for row in (row for page in pages for row in page.rows):
        fields = row if isinstance(row, dict) else {}
        identity, ticker = fields.get("id"), fields.get("ticker")
        if isinstance(identity, str) and identity in parts:
            continue
        parts.add(identity if isinstance(identity, str) else None)
        symbol = tickers.get(ticker.upper()) if isinstance(ticker, str) else None
        for owner in symbols if symbol is None else (symbol,):
            by_symbol[owner].append(row)
    return by_symbol


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


AGAIN = timedelta(seconds=15)
"""The wait before calling the REST API again after a failure, or about unusable rows."""
LATE = timedelta(seconds=60)
"""How much later than the REST API's a stream's copy of an alert may arrive."""
OVERLAP = timedelta(minutes=5)
"""By how much calls overlap: an alert may be created minutes after the trades that it reports."""
_NO_QUOTA = Quota(None, None, None)


class StreamProgress(Struct):
    """Counts since a stream was joined.

    `received` counts the stream's rows. Among these, `others` are about symbols that aren't ours, `bad` couldn't be
    read, and `lost` weren't taken in time. `new` counts stored facts, `filled` those that came from the REST API, and
    `calls` the calls to that API. `missed` are alerts that should have come over the stream.
    """

    joined: int = 0
    received: int = 0
    others: int = 0
    bad: int = 0
    lost: int = 0
    new: int = 0
    filled: int = 0
    calls: int = 0
    missed: int = 0


class FollowerInputs(Struct, frozen=True):
    """The dependencies of a follower.

    The REST API is queried at least every `check_s` seconds. `alone` is held during each query, and raises if another
    fetch is running. `keep_reply` archives replies, so that the session can be scored again.
    """

    stream: AlertStream
    flow: FlowSource
    facts: Facts
    events: Events
    symbols: Sequence[str]
    check_s: int
    alone: Callable[[], AbstractContextManager[None]]
    keep_reply: Callable[[FlowPage, date, datetime], None] = lambda page, session, at: None


class Follower:
    """Follows a stream for some symbols across reconnections; `so_far` has its counts."""

    def __init__(self, with_: FollowerInputs) -> None:
        self.so_far = StreamProgress()
        self._with = with_
        self._tickers = {source_ticker(symbol).upper(): symbol for symbol in with_.symbols}
        self._about: dict[str, Row] = {}
        self._session: date | None = None
        self._known: set[str] = set()
        self._heard: set[str] = set()
        self._awaited: set[str] = set()
        self._complete: datetime | None = None
        self._whole = self._up = False
        self._asked: datetime | None = None
        self._failed = False
        self._without_about: set[str] = set()
        self._doubtful = False
        self._told_down = self._told_missed = False
        self._told_failure = ""

    @property
    def symbols(self) -> int:
        return len(self._with.symbols)

    @property
    def whole(self) -> bool:
        """Return True if the stream is up and no rows are known to be missing."""
        return self._whole and self._up

    def look(self, session: Session, now: Callable[[], datetime]) -> None:
        """Store the rows since the last call, and fill gaps; raise OperatorError if the source refuses the key."""
        stream_rows = self._with.stream.take()
        at = now()
        self._note(stream_rows, at)
        if session.date != self._session:
            self._begin(session.date)
        was_whole = self._whole
        if was_whole:
            self._keep(stream_rows.rows, at)
        if stream_rows.up and (not was_whole or self._is_due(at)) and not (self._failed and self._just_requested(at)):
            self._ask(self._with.symbols, session, now)
        if self._whole and not was_whole:
            self._keep(stream_rows.rows, at)
        if stream_rows.up and self._whole and (self._doubtful or self._without_about) and not self._just_requested(at):
            self._ask(self._with.symbols if self._doubtful else sorted(self._without_about), session, now)

    def finish(self, session: Session, now: Callable[[], datetime]) -> bool:
        """Fetch from the REST API what the stream didn't deliver; return True if no rows are known to be missing.

        If the stream was never joined, fetch nothing: alerts are then fetched like any other facts.
        """
        if not self.whole and self.so_far.joined:
            self._ask(self._with.symbols, session, now)
            return not self._failed
        return self.whole

    def _begin(self, session: date) -> None:
        self._session, self._complete, self._whole = session, None, False
        for ids in (self._known, self._heard, self._awaited):
            ids.clear()

    def _note(self, stream_rows: StreamRows, at: datetime) -> None:
        """Record the connection's state. After a join, or if rows were lost, some alerts may be missing."""
        so_far, emit = self.so_far, self._with.events.emit
        if stream_rows.joined > so_far.joined:
            self._whole = self._told_down = False
            self._awaited.clear()
            emit(EventKind.STREAM_JOINED.at(at, {"joined": str(stream_rows.joined)}))
        if stream_rows.lost > so_far.lost:
            self._whole = False
            emit(EventKind.STREAM_FELL_BEHIND.at(at, {"rows": str(stream_rows.lost - so_far.lost)}))
        if not stream_rows.up and stream_rows.problem and not self._told_down:
            self._told_down = True
            emit(EventKind.STREAM_LOST.at(at, {"message": stream_rows.problem}))
        so_far.joined, so_far.lost, self._up = stream_rows.joined, stream_rows.lost, stream_rows.up

    def _is_due(self, at: datetime) -> bool:
        return self._complete is None or (at - self._complete).total_seconds() >= self._with.check_s

    def _just_requested(self, at: datetime) -> bool:
        return self._asked is not None and timedelta() <= at - self._asked < AGAIN

    def _ask(self, symbols: Sequence[str], session: Session, now: Callable[[], datetime]) -> None:
        """Fetch the alerts of these symbols from the REST API.

        If they are all symbols, the stored facts are then complete.
        """
        began, since = now(), self._since(session)
        self._asked, self._failed = began, True
        try:
            with self._with.alone():
                refilled = refill(self._with.flow, symbols, since, session.date, now)
        except TemporaryError as failed:
            # Report it once: a used-up daily quota stays used up for hours.
            if failed.message != self._told_failure:
                details = {"endpoint": FLOW_ALERTS, "message": failed.message}
                self._with.events.emit(EventKind.FETCH_FAILED.at(began, details))
            self._told_failure = failed.message
            return
        except TradebotError as busy:
            if busy.code is not ExitCode.ANOTHER_INSTANCE:
                raise
            return
        self._failed, self._told_failure = False, ""
        self._store(refilled)
        if len(symbols) == len(self._with.symbols):
            self._check(refilled, began)
            self._complete, self._whole, self._doubtful = began, True, False
            self._without_about.clear()

    def _since(self, session: Session) -> datetime:
        """Return since when alerts may be missing.

        After a restart, the latest stored reply may come from the stream: nothing was missing until the check before
        it.
        """
        if self._complete is not None:
            return max(session.open, self._complete - OVERLAP)
        last = [self._with.facts.last_fetch(FLOW_ALERTS, symbol) for symbol in self._with.symbols]
        stored = [at - OVERLAP - timedelta(seconds=self._with.check_s) for at in last if at is not None]
        return max(session.open, min(stored)) if len(stored) == len(last) else session.open

    def _store(self, refilled: Refilled) -> None:
        so_far = self.so_far
        so_far.calls += refilled.calls
        self._about |= refilled.about
        self._without_about -= self._about.keys()
        for page, intake in zip(refilled.pages, refilled.intakes, strict=True):
            self._keep_reply(page, intake.at)
            filled = self._with.facts.store(intake)
            so_far.new, so_far.filled = so_far.new + filled, so_far.filled + filled

    def _check(self, refilled: Refilled, at: datetime) -> None:
        """Reconnect if the stream still lacks alerts that it already lacked at the last check."""
        facts: list[FlowAlert] = [fact for intake in refilled.intakes for fact in intake.facts]  # type: ignore[misc]
        missed = len(self._awaited - self._heard) if self._whole else 0
        new = {fact.id for fact in facts if fact.at < at - LATE} - self._known - self._heard
        self._awaited = new if self._whole else set()
        self._known.update(fact.id for fact in facts)
        if missed:
            self.so_far.missed += missed
            if not self._told_missed:
                self._with.events.emit(EventKind.STREAM_INCOMPLETE.at(at, {"alerts": str(missed)}))
            self._with.stream.renew()
        self._told_missed = bool(missed)

    def _keep(self, rows: Sequence[object], at: datetime) -> None:
        """Store the rows of our symbols, each symbol's as one reply."""
        so_far, by_symbol = self.so_far, defaultdict[str, list[Row]](list)
        so_far.received += len(rows)
        for row in rows:
            symbol = self._owner(row)
            if symbol is None or not isinstance(row, dict):
                continue
            self._heard.add(str(row.get("id")))
            if symbol in self._about:
                by_symbol[symbol].append(as_polled(row, self._about[symbol]))
            else:
                # The stream's rows lack the symbol's type, and stored alerts never change.
                self._without_about.add(symbol)
        for symbol, facts in by_symbol.items():
            page = page_of(symbol, facts, _NO_QUOTA, at)
            # The source documents only the format of the REST API's rows, so only those are validated.
            intake = normalize(FLOW_ALERTS_KIND, page, at, check=False)
            self._keep_reply(page, at)
            so_far.bad += len(intake.rejected)
            self._doubtful = self._doubtful or bool(intake.rejected)
            so_far.new += self._with.facts.store(intake)

    def _keep_reply(self, page: FlowPage, at: datetime) -> None:
        if self._session is not None:
            self._with.keep_reply(page, self._session, at)

    def _owner(self, row: object) -> str | None:
        """Return which of our symbols a row is about, or None. Without a ticker, it might be about any of them."""
        ticker = row.get("ticker") if isinstance(row, dict) else None
        if not isinstance(ticker, str):
            self.so_far.bad, self._doubtful = self.so_far.bad + 1, True
            return None
        symbol = self._tickers.get(ticker.upper())
        self.so_far.others += symbol is None
        return symbol
