"""Read the evidence for `tradebot audit`. Each record and reply is read once, and nothing is written."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.evidence import attempt, evidence_of, may_read_flow, moment_of
from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import color_state
from commands.shared.tables import counted_states, counts, explains, table
from commands.shared.times import MINUTE, when
from commands.signals.signal_inputs import read as read_signals
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import torn_lines, worth_seeing
from tradebot.adapters.state.evidence import BACKTEST, SHADOW
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.desk.snapshot import book, margined_symbols
from tradebot.judging.audit import audit
from tradebot.judging.evidence import (
    Broker,
    HealthEvidence,
    PassEvidence,
    RowEvidence,
    SessionEvidence,
    Trading,
    TradingMoment,
    UnreadablePart,
    WatchedEvents,
    impossible_changes,
)
from tradebot.judging.judgment import HealthState, Judgment, rank_judgments
from tradebot.model.account import Booking
from tradebot.model.books import Books
from tradebot.model.event import NEED_NOBODY, Severity
from tradebot.model.finding import FindingKind
from tradebot.model.position import FOREIGN, EntryTerms, OwnedFill, Position
from tradebot.model.record import CycleRecord, Job
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.venue import Settlement
from tradebot.reconciliation.catch_up import read_view
from tradebot.reconciliation.differences import booked_behind, compare
from tradebot.reconciliation.new_fills import new_fills
from tradebot.reconciliation.read_books import (
    position_ratios,
    preview_bookings,
    read_books,
    require_account,
    without_twins,
)
from tradebot.timetable.sessions import session_date

DAY = timedelta(days=1)
LOOKED_BACK = 5
"""How many exit passes are searched for one that was not refused as a whole."""


def load_audit_evidence(
    app: "App", since_s: int | None, *, offline: bool
) -> tuple[HealthEvidence, Trading | UnreadablePart]:
    """Return the evidence from the bot's own records and the evidence about trading.

    If the books can't be read, return why instead of the evidence about trading.

    If the broker doesn't respond, the evidence says so. If `since_s` is None, the period starts at the session's open.
    """
    evidence = evidence_of(app)
    past, sound = evidence.past, evidence.parts["facts"]
    past_evidence = past if isinstance(past, SessionEvidence) else None
    if isinstance(sound, UnreadablePart) and sound is not past:
        return evidence, sound
    return evidence, attempt(lambda: _trading(app, past_evidence, since_s, offline=offline))


def _trading(app: "App", past: SessionEvidence | None, since_s: int | None, *, offline: bool) -> Trading:
    ledger, rules, facts = app.ledger_view, app.rules, app.existing_facts
    broker = None if offline else attempt(lambda: _ask(app, ledger))
    readable = broker if isinstance(broker, Broker) else None
    totals, proven = (readable.totals, readable.proven) if readable else (ledger.totals(), ())
    now = readable.clock.now if readable else past.now if past else datetime.now(UTC)
    moment = moment_of(ledger, now, None if since_s is None else now - timedelta(seconds=since_s))
    positions = totals.own_positions()
    return Trading(
        moment=moment,
        rules=rules,
        due=[job for job in (due_in(past, moment) if past else []) if job is not Job.SCORE or may_read_flow(app)],
        kinds=read_signals(app).kinds,
        score=next(iter(facts.cycles(job=Job.SCORE, last=1)), None) if facts else None,
        passes=_passes(app, moment),
        exits=_last_exits(app),
        events=_events(app, moment),
        permission=app.permission,
        state=ledger.trading_state(),
        fills=totals.count,
        newest_fill=totals.last_at,
        positions=positions,
        kept=_terms_of_positions(ledger, positions, proven),
        intents=ledger.tallies.intent_states(),
        rejected=ledger.tallies.rejected_since(moment.since),
        working=tuple((order, ledger.intent(order.client_order_id)) for order in ledger.orders(working=True)),
        rows=attempt(lambda: RowEvidence(*ledger.tallies.compare_journal())),
        broker=broker,
    )


def _ask(app: "App", ledger: "SqliteLedger") -> Broker:
    reader, clock = app.reader, app.reader.clock()
    view = read_view(reader, ledger)
    require_account(ledger, view.account)
    pending, unreadable = new_fills(reader, ledger, clock.now)
    view = replace(view, unreadable=view.unreadable + unreadable)
    before = read_books(ledger, clock.now, app.day, view.orders)
    view = without_twins(view, before)
    booked = preview_bookings(reader, ledger, before, view, pending)
    books = _books_after(ledger, before, pending, booked.proven)
    own = (position.symbol for position in books.totals.own_positions())
    symbols = tuple(dict.fromkeys((*app.rules.universe, *own, *margined_symbols(view, books))))
    quotes, listed = reader.quotes(symbols), {order.venue_id for order in view.orders}
    done = sum(order.venue_id not in listed for order in ledger.orders(working=True))
    entries = {entry.activity_id: entry for booking in booked.proven for entry in booking.entries}
    findings = compare(books, {**booked_behind(ledger, books), **entries}, view, booked.doubtful)
    session = session_date(ledger, clock.now, app.day)
    return Broker(
        clock=clock,
        view=view,
        totals=books.totals,
        proven=booked.proven,
        book=book(
            view,
            books,
            app.rules,
            quotes=quotes,
            session=session,
            listings={} if view.account.settlement is Settlement.PAID else reader.listings(symbols),
        ),
        findings=tuple(finding for finding in findings if finding.kind is not FindingKind.ORDER_LEFT_OUT),
        unapplied=len(pending) + len(booked.proven) + done,
        quotes=quotes,
        asked_quotes=len(symbols),
        rejected_quotes=reader.rejected_quotes,
        position_ratios=position_ratios(books, view),
        leaps=tuple(impossible_changes(before, pending)),
    )


def _books_after(
    ledger: "SqliteLedger", books: "Books", pending: tuple[OwnedFill, ...], bookings: "Sequence[Booking]"
) -> "Books":
    owned_fills = tuple(owned for booking in bookings for owned in booking.fills)
    after, account_state = books.with_pending(pending), books.standing
    fills = sorted((*ledger.fills(), *pending, *owned_fills), key=lambda owned: owned.fill.at) if owned_fills else ()
    moved = sum((entry.amount for booking in bookings for entry in booking.entries), Decimal(0))
    return replace(
        after,
        # An activity may come before the last fill, and then it changes which lots that fill closed.
        totals=Totals.of(fills) if owned_fills else after.totals,
        with_others=(*after.with_others, *(owned for owned in owned_fills if owned.strategy == FOREIGN)),
        acknowledged={**books.acknowledged, **_acknowledged_quantities(bookings)},
        standing=account_state._replace(cash_adjustments=account_state.cash_adjustments + moved),
    )


def due_in(past: SessionEvidence, moment: TradingMoment) -> list[Job]:
    """Return the jobs that had a slot in the sessions covered by the evidence.

    If this session opened at the moment when the previous one closed, only this session's slots count.
    """
    session = moment.session
    touches = session is not None and any(before.close == session.open for before in past.sessions)
    since = session.date if session and touches else date.min
    return [job for job, slots in past.due.items() if any(slot.session >= since for slot in slots)]


def _acknowledged_quantities(bookings: "Sequence[Booking]") -> dict[str, Decimal]:
    return {symbol: quantity for booking in bookings for symbol, quantity in booking.acknowledged}


def _passes(app: "App", moment: TradingMoment) -> PassEvidence:
    """Count the candidates by the reason they ended with; a strategy refused as a whole counts as one."""
    if app.existing_facts is None:
        return PassEvidence((), 0, {})
    cycles = [cycle for cycle in app.existing_facts.passes(moment.since) if cycle.job is Job.TRADE_ONCE]
    candidates, ends = app.existing_facts.ends(Job.TRADE_ONCE, moment.since)
    lost = Counter(
        refusal.decision.reason for cycle in cycles for refusal in cycle.refused_strategies if refusal.decision.reason
    )
    return PassEvidence(cycles, candidates + lost.total(), Counter(ends) + lost)


def _last_exits(app: "App") -> CycleRecord | None:
    """Return the last exit pass that read positions; a pass after the close doesn't."""
    if app.existing_facts is None:
        return None
    cycles = app.existing_facts.cycles(job=Job.EVALUATE_EXITS, last=LOOKED_BACK)
    return next((cycle for cycle in reversed(cycles) if cycle.job_decision is None), None)


def _events(app: "App", moment: TradingMoment) -> WatchedEvents:
    """Read the events of the span in trading time, and those of the last day by this machine's clock.

    Both are needed, because some events carry this machine's time.
    """
    today = datetime.now(UTC)
    spans = ((moment.since, moment.now), (today - DAY, today))
    lines, events = worth_seeing(app.folder.path / EVENTS, spans)
    nothing_to_do = {(kind.subsystem, kind.event_type) for kind in NEED_NOBODY}
    told_events = [event for event in events if (event.subsystem, event.event_type) not in nothing_to_do]
    counts = Counter(f"{event.subsystem} {event.event_type}" for event in told_events)
    errors = sum(event.severity in (Severity.ERROR, Severity.CRITICAL) for event in told_events)
    return WatchedEvents(lines, torn_lines(app.folder.path / EVENTS), dict(counts.most_common()), errors)


def _terms_of_positions(
    ledger: "SqliteLedger", positions: Sequence[Position], bookings: "Sequence[Booking]"
) -> dict[tuple[str, str], EntryTerms]:
    before = {
        (terms_now.strategy, terms_now.symbol, terms_now.opened_at): terms_now
        for booking in bookings
        for terms_now in booking.restated
    }
    keys = {(position.strategy, position.symbol, position.opened_at) for position in positions}
    all_terms = ledger.entry_terms(keys | before.keys())
    by_position = {
        (strategy, symbol): all_terms[strategy, symbol, at] for strategy, symbol, at in keys & all_terms.keys()
    }
    for key, terms in before.items():
        if key in all_terms:
            by_position[terms.strategy, terms.to_symbol] = terms.of(all_terms[key])
    return by_position


class Audited(Struct, frozen=True):
    """One audit at trading time `as_of`, starting at `since`; `findings` are what to fix, most urgent first.

    `states` counts the judgments by state. `since` is None if the books couldn't be read.
    """

    as_of: datetime
    since: datetime | None
    broker_asked: bool
    states: dict[str, int]
    findings: "tuple[Judgment, ...]"
    judgments: "tuple[Judgment, ...]"


def run_audit(app: "App", since_s: int | None, *, offline: bool) -> Audited:
    """Audit the evidence of the last `since_s` seconds, or of the session if it is None.

    The broker isn't queried for the folder of a backtest or a shadow run.
    """
    finished = app.folder.kind in (BACKTEST, SHADOW)
    offline = offline or finished
    evidence, trading = load_audit_evidence(app, since_s, offline=offline)
    # These sentences quote the broker and other people.
    judgments = tuple(replace(each, found=clean(each.found)) for each in audit(evidence, trading, finished=finished))
    moment = trading.moment if isinstance(trading, Trading) else None
    return Audited(
        as_of=moment.now if moment else evidence.at,
        since=moment.since if moment else None,
        broker_asked=not offline,
        states=counted_states(judgments),
        findings=rank_judgments(judgments),
        judgments=judgments,
    )


def show(console: "Console", data: "Audited", bot_identity: Identity) -> None:
    """Print what to fix, the number of judgments in each state and, with --explain, every judgment."""
    console.print(f"Audit of [bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}, at {when(data.as_of)}")
    broker_text = "the broker was queried" if data.broker_asked else "the broker was not queried"
    span_of = f"counting since {when(data.since, MINUTE)}; " if data.since else ""
    show_findings(console, data)
    console.print(f"{counts(data.states)}; {span_of}{broker_text}; nothing was changed")
    if explains(console):
        console.print(table(data.judgments, with_next=False))
    else:
        console.print(f"tradebot audit --explain shows all {len(data.judgments)} subjects.", style="dim", markup=False)


def show_findings(console: "Console", data: "Audited") -> None:
    """Print the findings alone, each with its command."""
    if not data.findings:
        console.print(f"[green]Nothing to fix[/green]: {data.states['OK']} of {len(data.judgments)} subjects are OK.")
        return
    console.print(f"What to fix, most urgent first ({pluralize(len(data.findings), 'finding')}):")
    for rank, (command, items) in enumerate(_tasks(data.findings).items(), 1):
        console.print(f"{rank:>2}. {command}", markup=False)
        # One cause of many findings is shown once.
        for finding in dict.fromkeys(item.found for item in items):
            subjects: dict[HealthState, list[str]] = {}
            for item in items:
                if item.found == finding:
                    subjects.setdefault(item.state, []).append(item.subject)
            by_state = "; ".join(f"{color_state(state)} {', '.join(each)}" for state, each in subjects.items())
            console.print(f"    {by_state}: {escape(finding)}")


def _tasks(findings: tuple[Judgment, ...]) -> dict[str, list[Judgment]]:
    tasks: dict[str, list[Judgment]] = {}
    for item in findings:
        tasks.setdefault(item.next, []).append(item)
    return tasks
