"""Read a session from the bot's own records for `tradebot summary`, without contacting a broker."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.report.page import render_template
from commands.shared.bot_records import exit_reasons, last_passes, load_holdings, opening_of, waiting_approvals
from commands.shared.evidence import attempt, evidence_of
from commands.shared.history import BENCHMARK, no_benchmark_reason
from commands.shared.light_helpers import Identity, clean
from commands.shared.notes import left_by_earlier_orders, notes, unlike_the_broker
from commands.shared.number_format import gain, units, usd
from commands.shared.tables import Table, explains, number, sentence
from commands.shared.times import MINUTE, when
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.state_folder import BARS, EVENTS
from tradebot.app import calendar, sandbox
from tradebot.app.baseline import leaves
from tradebot.app.promotion_status import unproven_strategies
from tradebot.app.wiring import App
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import OperatorError, TradebotError, one_line, word
from tradebot.judging.evidence import HealthEvidence, SessionEvidence, UnreadablePart
from tradebot.judging.judgment import Judgment, permission
from tradebot.judging.pass_health import judge_passes, missed_slots
from tradebot.model.account import CashKind
from tradebot.model.bar import Session
from tradebot.model.event import EventKind
from tradebot.model.position import FOREIGN
from tradebot.model.record import CycleRecord, Job, SessionEnd
from tradebot.model.series import DAY
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import Trade
from tradebot.model.trading import Mode
from tradebot.model.venue_day import VenueDay
from tradebot.views.holdings import Holding, RecordedPrice, externally_closed, holdings
from tradebot.views.parity import LATELY, day_in_words, in_words, over_time
from tradebot.views.status import belongs_to_position, opening_times
from tradebot.views.summary.values import Section, SessionRecords, Summary, SummaryMoney, SummaryPosition
from tradebot.views.summary.view import summary
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.fees import cash_kind
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pieces import REACH, equity_before_and_after

LATE = timedelta(hours=3)
"""The period of a session's last passes, from which its code is read."""
YEARS = range(1900, 2200)
"""The years accepted for a session; no calendar reaches further."""
MOST_COMPARED = 500
"""How many recorded comparisons with backtests are read, so that an earlier session's is among them."""
CHORES = timedelta(hours=12)
"""How long after the close a session's own chores and passes may come."""


class SummaryPeriod(Struct, frozen=True):
    """The session to summarize and those before it; `first` is when the books were opened, or None if unreadable."""

    session: Session
    previous: Session | None
    now: datetime
    first: datetime | None
    is_last: bool

    @property
    def so_far(self) -> bool:
        """Return True if the session is under way."""
        return self.now < self.session.close

    @property
    def since(self) -> datetime:
        """Return the previous close, or when the books were opened."""
        return self.previous.close if self.previous else self.first or self.session.open

    @property
    def until(self) -> datetime:
        """Return the time until which events belong to this session."""
        return self.now if self.is_last else self.session.close + CHORES


def read(app: "App", typed: str | None) -> Summary:
    """Return the summary of a session, by default the last one that has begun; raise OperatorError if there is none."""
    evidence, ledger = evidence_of(app), attempt(lambda: app.ledger_view)
    # Without books, health can't read intact facts either.
    facts = None if evidence.parts["facts"] is evidence.past else evidence.parts["facts"]
    books = None if isinstance(ledger, UnreadablePart) else ledger
    sqlite_facts = None if isinstance(facts, UnreadablePart) else app.existing_facts
    # Without books, use the time of the sandbox's last recorded pass.
    still = sqlite_facts.last_pass() if sqlite_facts and app.mode is Mode.SANDBOX else None
    summary_period = _period_of(app, books, evidence.now or still or evidence.at, _day(typed))
    lost = {"The bot's trades and positions aren't known": ledger, "The bot's decisions aren't known": facts}
    unknown = [
        f"{what}: {part.why} Next: {part.next}" for what, part in lost.items() if isinstance(part, UnreadablePart)
    ]
    session_records = _gather_records(app, evidence, summary_period, books, sqlite_facts)
    return summary(replace(session_records, recorded=not isinstance(facts, UnreadablePart), unknown=unknown))


def _gather_records(
    app: "App",
    evidence: HealthEvidence,
    summary_period: SummaryPeriod,
    ledger: SqliteLedger | None,
    facts: SqliteFacts | None,
) -> SessionRecords:
    session, since, until = summary_period.session, summary_period.since, summary_period.until
    passes = _passes(evidence, facts, summary_period)
    before = facts.unpriced_passes(since - LATE, since) if facts and summary_period.previous else ()
    book = _books(app, ledger, facts, summary_period) if ledger else SessionBooks()
    slots, lost = _slots(evidence, ledger, summary_period)
    judgments, remarks = (
        _current_judgments(app, evidence, ledger, facts, summary_period) if summary_period.is_last else ((), ())
    )
    return SessionRecords(
        session=session,
        is_first=summary_period.previous is None,
        since=since,
        so_far=summary_period.so_far,
        as_of=max((cycle.at for cycle in passes), default=evidence.now) if summary_period.is_last else session.close,
        passes=passes,
        before=before,
        ends=facts.ends(Job.TRADE_ONCE, since, until) if facts else (0, {}),
        opened=book.opened,
        closed=book.closed,
        holdings=book.holdings,
        money=book.money,
        slots=slots,
        missed=lost,
        judgments=judgments,
        notes=(*remarks, *(unproven_strategies(app) if ledger else ())),
        beside=_comparison_notes(facts, session.date),
        states=ledger.states_since(since, until) if ledger else (),
        accepted=tuple(accepted_configurations(ledger, since, until)) if ledger else (),
        restarts=tuple(_restarts(app, since, until)),
        waiting=waiting_approvals(app, summary_period.now) if summary_period.is_last else (),
        liquidated=book.liquidated,
    )


def _day(typed: str | None) -> date | None:
    if not typed:
        return None
    with suppress(ValueError):
        if (day := date.fromisoformat(typed)).year in YEARS:
            return day
    raise OperatorError(f"{word(typed)} is not the date of a session", "tradebot summary 2026-11-16")


def _comparison_notes(facts: SqliteFacts | None, day: date) -> Sequence[str]:
    """Return sentences that compare a session, and recent sessions up to it, with their backtests; empty if it hasn't
    been compared.
    """
    days = [parity for parity in facts.parities(MOST_COMPARED) if parity.session <= day] if facts else []
    parity_totals = over_time(days[-LATELY:])
    if parity_totals is None or days[-1].session != day:
        return ()
    return (f"{day_in_words(days[-1])}.", f"Over time, {in_words(parity_totals)}.")


def _period_of(app: "App", ledger: SqliteLedger | None, now: datetime, day: date | None) -> SummaryPeriod:
    first = ledger.books_opened_at() if ledger else None
    if ledger and first is None:
        raise OperatorError(
            "There is no summary yet: the books haven't been reconciled with the broker.", "tradebot reconcile"
        )
    near = _sessions(app, ledger, day or app.day.date_of(now))
    ours = [session for session in near if session.open <= now and (first is None or session.close > first)]
    # A bot whose first session hasn't begun summarizes that one.
    ahead = [session for session in near if session.open > now][:1] if day is None else []
    chosen = next((session for session in (*reversed(ours), *ahead) if day in (None, session.date)), None)
    if chosen is None:
        raise _no_session(app.day, day, now, first, near)
    is_last = not any(chosen.open < session.open <= now for session in _sessions(app, ledger, app.day.date_of(now)))
    earlier = [our for our in ours if our.close < chosen.close]
    return SummaryPeriod(chosen, earlier[-1] if earlier else None, now, first, is_last)


def _sessions(app: "App", ledger: SqliteLedger | None, day: date) -> Sequence[Session]:
    first, last = day - REACH, day + REACH
    return (
        (ledger.sessions(first, last) if ledger else ())
        or calendar.list_sessions(app.settings.capabilities, first, last)
        or ()
    )


def _no_session(
    venue: VenueDay, day: date | None, now: datetime, first: datetime | None, near: Sequence[Session]
) -> OperatorError:
    last = "tradebot summary   (shows the last session)"
    if day is None:
        return OperatorError("no session has begun since the bot's books were opened", "tradebot schedule")
    if day > venue.date_of(now) or any(session.date == day and session.open > now for session in near):
        return OperatorError(f"the session of {day} is still to come", last)
    if first is not None and day < venue.date_of(first):
        return OperatorError(f"the bot's books were opened on {venue.date_of(first)}, after {day}", last)
    before = [session.date for session in near if session.date < day and (first is None or session.close > first)]
    return OperatorError(f"{day} is a {day:%A} without a session", f"tradebot summary {before[-1]}" if before else last)


def _passes(evidence: HealthEvidence, facts: SqliteFacts | None, period: SummaryPeriod) -> Sequence[CycleRecord]:
    """Return the passes of a session: since the previous close for the last session, which health has read already, and
    since the open for an earlier one.
    """
    if facts is None:
        return ()
    past = evidence.past
    if period.is_last and isinstance(past, SessionEvidence):
        return [cycle for cycle in past.cycles if cycle.at > period.since]
    return facts.unpriced_passes(period.session.open, period.until)


def _slots(
    evidence: HealthEvidence, ledger: SqliteLedger | None, summary_period: SummaryPeriod
) -> tuple[int, list[tuple[str, str, str]]]:
    """Return how many slots of the session are known, and the missed ones, each with its job and reason."""
    past, day = evidence.past, summary_period.session.date
    if ledger is None or not isinstance(past, SessionEvidence):
        return 0, []
    claims = ledger.slot_claims(day)
    due = {job: [slot for slot in slots if slot.session == day] for job, slots in past.due.items()}
    ours = replace(past, claims=claims, due=due)
    due_count = sum(map(len, due.values())) or sum(claim.job in set(Job) for claim in claims)
    return due_count, missed_slots(ours)


def _current_judgments(
    app: "App", evidence: HealthEvidence, ledger: SqliteLedger | None, facts: SqliteFacts | None, period: SummaryPeriod
) -> tuple[tuple[Judgment, ...], tuple[str, ...]]:
    """Return the present judgments about the bot, and the warnings about its positions."""
    orphaned = left_by_earlier_orders(app, period.now) if ledger else ()
    remarks = (*notes(app, orphaned), *unlike_the_broker(app, period.now, last_passes(facts))) if ledger else ()
    return (*judge_passes(evidence), permission(app.permission, evidence.at)), remarks


class SessionBooks(Struct, frozen=True):
    """The books' data for a session; `holdings` are None if they can't be read."""

    opened: Sequence[str] = ()
    closed: Sequence[Trade] = ()
    holdings: Sequence[Holding] | None = None
    money: SummaryMoney | None = None
    liquidated: Sequence[str] = ()


def _books(app: "App", ledger: SqliteLedger, facts: SqliteFacts | None, period: SummaryPeriod) -> SessionBooks:
    """Return the positions opened, closed and held since the previous close, and the account's profit.

    For the last session, only the fills since its positions were opened are read; for an earlier one, all fills up to
    its close.
    """
    day = period.session.date
    ends = facts.session_ends(day - REACH, day) if facts else ()
    if period.is_last:
        totals = ledger.totals()
        starts = opening_times(totals, day, calendar.with_stored_sessions(ledger, app.day))
        fills = ledger.fills_since(min(starts.values())) if starts else ()
        rows: Sequence[Holding] = load_holdings(app, totals, last_passes(facts), period.now)
    else:
        fills = [fill for fill in ledger.fills() if fill.fill.at <= period.session.close]
        totals = Totals.of(fills)
        starts = opening_times(totals, day, calendar.with_stored_sessions(ledger, app.day))
        rows = _held_then(totals, next((end for end in ends if end.session == day), None))
    since, ours = (
        period.since,
        trades(fill for fill in fills if fill.strategy != FOREIGN and belongs_to_position(fill, starts)),
    )
    closed = [our for our in ours if our.closed_at and our.closed_at > since]
    reasons = exit_reasons(app, {order for trade in closed for order in trade.exit_orders})
    shown = [replace(trade, reasons=tuple(filter(None, map(reasons.get, trade.exit_orders)))) for trade in closed]
    opened = [our.symbol for our in ours if our.opened_at > since and not our.closed_at]
    at_broker = (owned.fill for owned in fills if period.is_last and owned.fill.at > since)
    liquidated = tuple(dict.fromkeys(fill.symbol for fill in at_broker if fill.liquidation))
    return SessionBooks(opened, shown, rows, _money(app, ledger, facts, period, ends), liquidated)


def _held_then(totals: Totals, end: SessionEnd | None) -> Sequence[Holding]:
    """Return the positions at an earlier close, at the last prices recorded then; their stops aren't stored."""
    marks = end.marks if end else {}
    at = end.marked_at if end else None
    priced = {symbol: RecordedPrice(price, at) for symbol, price in marks.items()} if at else {}
    own = totals.own_positions()
    return holdings(own, {}, {}, lambda _: (), priced, at, {}, (), at_venue=False, closed=externally_closed(totals))


def _money(
    app: "App", ledger: SqliteLedger, facts: SqliteFacts | None, period: SummaryPeriod, ends: Sequence[SessionEnd]
) -> SummaryMoney | None:
    """Return the account's profit since the previous close, and SPY's change; None if the account's value is
    unknown.
    """
    day, first = period.session.date, period.first
    if facts is None or first is None:
        return None
    opening = opening_of(app, day)
    equity_around = equity_before_and_after(ends, opening[1] if opening else None, DateRange(day, day))
    if equity_around is None:
        return None
    moved = [row for row in ledger.cash_movements() if cash_kind(row) is CashKind.TRANSFER and row.at <= period.until]
    transfers = sum((movement.amount_usd for movement in moved if movement.at > period.since), Decimal(0))
    money = SummaryMoney(equity_around.before_usd, equity_around.after_usd, transfers, None)
    if not_traded := no_benchmark_reason(app):
        return replace(money, without=not_traded)
    if period.so_far:
        return replace(money, without="SPY is compared after the close.")
    opened_on = calendar.with_stored_sessions(ledger, app.day).date_of(first)
    start = next(iter(facts.session_ends(opened_on, opened_on + REACH)), None)
    base = start.last_close if start and start.session < day and not moved else None
    return _beside(money, base, start, period, *_spy(app, period))


def _beside(
    money: SummaryMoney,
    base: Decimal | None,
    start: SessionEnd | None,
    summary_period: SummaryPeriod,
    days: Mapping[date, RawBar],
    why: str,
) -> SummaryMoney:
    day, opened = summary_period.session.date, start.session if start else None
    change = _change(days, day, day, opened)
    if change is None:
        return replace(money, without=why or f"{BENCHMARK} has no price for this session or the one before.")
    if base is None or start is None:
        return replace(money, benchmark=change)
    since = _change(days, start.session, day, opened)
    return replace(money, benchmark=change, since=start.session, first_usd=base, benchmark_since=since)


def _change(days: Mapping[date, RawBar], first: date, last: date, opened: date | None) -> float | None:
    """Return the relative change from the last close before `first` to the close of `last`; None if either is unknown.

    In the first session of the books, `opened`, the change begins at the open, as in a report.
    """
    if last not in days:
        return None
    if first == opened:
        return days[last].close / days[first].open - 1 if first in days else None
    before = max((day for day in days if day < first), default=None)
    if before is None or first - before > REACH:
        return None
    return days[last].close / days[before].close - 1


def _spy(app: "App", period: SummaryPeriod) -> tuple[Mapping[date, RawBar], str]:
    """Return SPY's stored daily bars, and why the session can't be compared with them; empty if it can.

    Missing bars are fetched only in a sandbox whose exchange is running.
    """
    day, first = period.session.date, app.day.date_of(period.first or period.session.open) - REACH
    asks = app.mode is Mode.SANDBOX and sandbox.running_exchange(app.folder.exchange) is not None
    try:
        raw_bar_by_day = app.bars.daily(BENCHMARK, first, day) if asks or (app.folder.path / BARS).exists() else {}
        if day not in raw_bar_by_day and asks:
            app.bars.fetch(DAY, [BENCHMARK], first, period.session.close)
            raw_bar_by_day = app.bars.daily(BENCHMARK, first, day)
    except TradebotError as error:
        return {}, f"{BENCHMARK} can't be compared: {one_line(error)}"
    nothing = f"There is no {BENCHMARK} to compare with: its price for this session isn't stored. "
    return raw_bar_by_day, "" if day in raw_bar_by_day else f"{nothing}Next: tradebot bars fetch {BENCHMARK}"


def accepted_configurations(
    ledger: SqliteLedger, since: datetime, until: datetime
) -> Iterator[tuple[str, datetime, Sequence[str]]]:
    """Yield each configuration accepted between two times: who accepted it, when, and which settings it changed."""
    baselines = ledger.baselines.since(since)
    for before, after in pairwise(baselines):
        was, now = leaves(before.values), leaves(after.values)
        changed = [".".join(path) for path in dict.fromkeys((*was, *now)) if was.get(path, ...) != now.get(path, ...)]
        if since < after.at <= until:
            yield after.who, after.at, changed


def _restarts(app: "App", since: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    kind = EventKind.SERVE_NOTE
    _, events = worth_seeing(app.folder.path / EVENTS, [(since, until)], also=(kind,))
    for event in events:
        version = event.details.get("version")
        if version and (event.subsystem, event.event_type) == (kind.subsystem, kind.event_type):
            yield event.timestamp, version


def show(console: "Console", data: Summary, bot_identity: str) -> None:
    """Print all sections of the summary."""
    console.print(f"[bold {'yellow' if data.needs else 'green'}]{escape(clean(data.headline))}[/]")
    console.print(bot_identity, style="dim", markup=False)
    for section in data.sections if explains(console) else _most_wanted(data):
        console.print(f"\n[bold]{section.title}[/bold]")
        for line in section.lines:
            console.print(clean(line), markup=False)
        if section.title == "What it did" and tells_reasons(data):
            _refusals(console, data)
        if section.title == "Positions" and data.positions:
            _positions(console, data)


NEEDS, HEALTH, SLOTS = "What needs you", "Health", "Missed slots"
FIRST = (NEEDS, "What it did", "Profit", "Positions")
SHOWN_REASONS = 3


def _most_wanted(data: Summary) -> "Sequence[Section]":
    """Return the sections of a short screen: first what a person has to do, and the problems in health and slots."""
    wrong = [HEALTH, *([SLOTS] if data.missed else [])] if data.needs else []
    by_title = {section.title: section for section in data.sections}
    return [by_title[title] for title in (*FIRST, *wrong) if title in by_title]


def message(console: "Console", data: Summary) -> None:
    """Print the chat message unwrapped, because the chat program wraps it."""
    for line in data.short.splitlines():
        console.print(clean(line), markup=False, soft_wrap=True)


def page(data: Summary, bot_identity: str) -> str:
    """Return the summary as a web page."""
    tables = {"cells": position_cells, "columns": columns(data), "reasons": tells_reasons(data)}
    return render_template("summary.html", data=data, about=bot_identity, **tables)


def describe_bot(data: Summary, bot_identity: Identity) -> str:
    """Return which bot the session belongs to, and how recent the data is."""
    fresh = f"as of {when(data.as_of, MINUTE)}" if data.as_of else "nothing was recorded yet"
    return (
        f"{bot_identity.mode}, {bot_identity.venue_and_account}, {fresh}; "
        "from the bot's own records, without contacting the broker"
    )


def tells_reasons(data: Summary) -> bool:
    """Return True if reasons should be listed, because the sentences don't explain every refusal yet."""
    return len(data.refusals) > (0 if data.orders else 1)


def _refusals(console: "Console", data: Summary) -> None:
    table = Table(number("refused"), sentence("because"))
    for row in data.refusals if explains(console) else data.refusals[:SHOWN_REASONS]:
        table.row(f"{row.count:,}", row.meaning)
    console.print(table)


def _positions(console: "Console", data: Summary) -> None:
    names = columns(data)
    table = Table("symbol", *map(number, names))
    for row in data.positions:
        shown = position_cells(row) | ({} if row.gain_usd is None else {"gain USD": gain(row.gain_usd)})
        table.row(escape(clean(row.symbol)), *(shown[name] for name in names))
    console.print(table)


def columns(data: Summary) -> list[str]:
    """Return the headings of the columns about positions, except for the symbol and for columns that would be empty."""
    rows = list(map(position_cells, data.positions))
    return [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]


def position_cells(row: SummaryPosition) -> dict[str, str]:
    """Return the cells of a position as plain text by column heading, without the symbol."""
    return {
        units(): f"{row.quantity:,f}",
        "entry": usd(row.entry_usd, row.symbol),
        "now": usd(row.price_usd, row.symbol),
        "gain USD": "" if row.gain_usd is None else f"{row.gain_usd:+,.2f}",
        "stop": usd(row.stop_usd, row.symbol),
        "away": "" if row.distance is None else f"{row.distance:.1%}",
    }
