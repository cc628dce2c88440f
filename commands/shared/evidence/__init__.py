"""Gather the evidence for health. Nothing is requested from the broker, and nothing is changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from commands.shared.bot_records import age_reference_time, load_holdings, unfinished_closes
from commands.shared.evidence.machine import (
    LAST_EVENTS,
    backups_of,
    chat_of,
    disk_of,
    notices_of,
    serve_of,
    storage_of,
    stream_of,
)
from commands.shared.notes import why_in_state
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.facts.schema import check
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.events import last_events, worth_seeing
from tradebot.adapters.state.evidence import BACKTEST, SHADOW, backtested_code
from tradebot.adapters.state.state_folder import EVENTS, FACTS
from tradebot.app.baseline import values_of
from tradebot.app.settings import Settings
from tradebot.app.wiring import App
from tradebot.errors import DamagedJournalError, TradebotError
from tradebot.judging import evidence as records
from tradebot.judging import pass_health
from tradebot.judging.component_health import ModelSeen, ModelsSeen
from tradebot.judging.evidence import HealthEvidence, SessionEvidence, UnreadablePart
from tradebot.judging.pass_health import last_run
from tradebot.learning.policy_decisions import describe_fallback, fallback_reasons, refusal
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose
from tradebot.model.event import HEALINGS, EventKind, Severity
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode, hidden_halts
from tradebot.model.venue import Capabilities
from tradebot.model.venue_day import VenueDay
from tradebot.reconciliation.read_books import READ_WITHIN, fills_awaited
from tradebot.reconciliation.unfinished_closes import describe_unfinished
from tradebot.signals.contracts import drifts, harmful_drifts
from tradebot.strategies.settings import POLICY
from tradebot.timetable.entries import ENDED, ENDS, TimetableEntry
from tradebot.timetable.sessions import (
    NEAR_END_DAYS,
    begun_by,
    calendar_end,
    difference,
    last_session,
    session_date,
    slots,
)
from tradebot.views.metrics import (
    BAD,
    MetricFigures,
    count_repairs,
    fetch_latency_ms,
    last_error,
    last_learn,
    success_rate,
)
from tradebot.views.parity import LATELY as LATELY_COMPARED
from tradebot.views.parity import in_words, over_time


def has_policies(settings: "Settings") -> bool:
    return POLICY in settings.strategies.installed_as().values()


def models_of(app: "App") -> ModelsSeen:
    """Return each model in use and, if a fallback replaced it in the last entry pass, that fallback."""
    # Few bots have policies, and importing the reader of models takes a fifth of all import time.
    from tradebot.adapters.models.files import read_model
    from tradebot.adapters.models.model_folder import RefusedModelError
    from tradebot.adapters.models.signing import require_extra
    from tradebot.app.policy import model_storage
    from tradebot.learning.ensemble import PolicyMode
    from tradebot.strategies.policy import PolicySettings

    require_extra("a policy")
    sections, models, instead = app.settings.strategies.in_use(), list[ModelSeen](), list[str]()
    for name, installed in app.settings.strategies.installed_as().items():
        if installed != POLICY:
            continue
        own = PolicySettings.model_validate(sections[name])
        if own.mode is PolicyMode.TRAINING:
            instead.append(f"{name} is set to training, and trades nothing{_left_to_nobody(app, name)}")
        if own.mode is PolicyMode.RULE:
            # Its models don't act, so whether they could is of no interest.
            instead.append(describe_fallback(name, refusal(Reason.MODEL_RETIRED, "mode rule")))
            continue
        model_location = model_storage(own)
        for model in own.models:
            try:
                model_read = read_model(model_location.folder, model, model_location.public)
                models.append(ModelSeen(name, model, model_read.card.created_at, own.max_age_days))
            except RefusedModelError as refused:
                why = refused.decision
                models.append(ModelSeen(name, model, None, own.max_age_days, f"{why.reason} ({why.observed})"))
    return ModelsSeen(tuple(models), tuple(dict.fromkeys((*instead, *_instead(app)))))


def _left_to_nobody(app: "App", name: str) -> str:
    """Return a clause that names the strategy's positions if no exit rule closes them; empty if there are none."""
    symbols = [position.symbol for position in app.ledger_view.totals().own_positions() if position.strategy == name]
    if not symbols or app.rules.exits_of(name):
        return ""
    return f"; it has no exit rules either, so only you can close {', '.join(sorted(symbols))}: tradebot flatten"


def _instead(app: "App") -> "Iterator[str]":
    """Yield what replaced models in the last entry pass.

    If a whole answer was refused, the strategies' health shows it.
    """
    if app.existing_facts is not None:
        for cycle in app.existing_facts.cycles(job=Job.TRADE_ONCE, last=1):
            yield from (describe_fallback(name, why) for name, why in fallback_reasons(cycle.candidates).items())


DAY = timedelta(days=1)


def figures_of(app: "App", past: SessionEvidence) -> MetricFigures:
    """Return the figures of the last session and day; raise TradebotError if the books or the facts can't be read."""
    facts, ledger, clock, at, cycles = app.existing_facts, app.ledger_view, datetime.now(UTC), past.now, past.cycles
    intents, mark = ledger.recent_intents((at - DAY).date()), ledger.last_reconcile()
    _, events = worth_seeing(app.folder.path / EVENTS, sorted({(at - DAY, at), (clock - DAY, clock)}), HEALINGS)
    last = max((cycle.at for cycle in cycles), default=None)
    fetched = max((cycle.at for cycle in cycles if cycle.job is Job.FETCH_FLOW), default=None)
    answers = facts.intakes(fetched) if facts is not None and fetched else ()
    return MetricFigures(
        total_cycles=len(cycles),
        last_cycle_ago_seconds=max((at - last).total_seconds(), 0.0) if last else None,
        order_success_rate=success_rate(intents),
        data_fetch_latency_ms=fetch_latency_ms(cycles, answers),
        position_mismatches=mark.findings if mark else None,
        errors=sum(event.severity in BAD for event in events),
        warnings=sum(event.severity is Severity.WARN for event in events),
        healings=count_repairs(events),
        last_error=last_error(events),
        regime=_regime(app, at),
        last_learn=last_learn(last_events(app.folder.path / EVENTS, LAST_EVENTS, besides=[EventKind.GATE_BLOCKED])[0]),
    )


def _regime(app: "App", now: datetime) -> str | None:
    """Return the market's regime by the stored facts; None unless all its inputs are known."""
    from tradebot.signals.subjects.market import market_state, regime

    if app.existing_facts is None:
        return None
    state = market_state(app.existing_facts.market(last_session(app.ledger_view, now, app.day), now), now)
    return regime(state) if state else None


def books_of(
    ledger: "SqliteLedger", now: datetime | None, day: VenueDay, *, thorough: bool
) -> Mapping[str, Callable[[], Any]]:
    """Return functions that check each part of the books, by name; each may raise TradebotError.

    Ledger and journal are read completely if another program has changed them, or if `thorough` is True.
    """
    whole = cache(lambda: ledger.file.read_through(again=thorough))

    def build() -> records.LedgerEvidence:
        return records.LedgerEvidence(whole(), ledger.file.sealed_head().sequence)

    def pages() -> records.LedgerEvidence:
        # A damaged journal says nothing about the ledger, whose pages were read first.
        with suppress(DamagedJournalError):
            return build()
        return records.LedgerEvidence(ledger.file.page_count(), ledger.file.sealed_head().sequence)

    return {
        "ledger": pages,
        "journal": build,
        "orders": lambda: _orders(ledger, now, day),
        "books": ledger.last_reconcile,
        "halts": lambda: _halts(ledger),
    }


def chores_of(app: "App", sessions: "Sequence[Session]", now: datetime) -> records.ChoresEvidence:
    """Return the last run of each chore, by the slots that were claimed for it, and whether any slot was due."""
    ledger, lines, grace_s = app.ledger_view, app.settings.timetable.chores, app.settings.serve.grace_s
    since = ledger.books_opened_at()
    starts = (slot.start for line in lines for day in sessions for slot in line.slots(day.date, sessions, grace_s))
    in_order = sorted(starts)
    due = since is not None and any(since <= start <= now for start in in_order)
    coming = next((start for start in in_order if start > now), None)
    runs = (_last_run(ledger, line, now) for line in lines)
    return records.ChoresEvidence(len(lines), due, tuple(run for run in runs if run is not None), coming)


def _last_run(ledger: "SqliteLedger", line: "TimetableEntry", now: datetime) -> records.ChoreEvidence | None:
    ends = [claim for end in ENDS if (claim := ledger.last_claim(f"{line.job}{end}")) is not None]
    end = max(ends, key=lambda claim: claim.at, default=None)
    well = end is not None and end.job == f"{line.job}{ENDED}"
    return last_run(line, ledger.last_claim(line.job), end, well=well, now=now)


def _orders(ledger: "SqliteLedger", now: datetime | None, day: VenueDay) -> records.OrderEvidence:
    unresolved = ledger.intents(unresolved=True)
    count, oldest = ledger.file.sealed_head().sequence, min(unresolved, key=lambda each: each.intent.at, default=None)
    closes = unfinished_closes(ledger, ledger.totals().own_positions(), now)
    going_on = tuple(f"{symbol}: {describe_unfinished(close)}" for (_, symbol), close in closes.items())
    lacking = fills_awaited(ledger, now, day, READ_WITHIN) if now else ()
    if oldest is None:
        filled = min((fill.order.updated_at for fill in lacking if fill.order.updated_at), default=None)
        unbooked = tuple(fill.words for fill in lacking)
        return records.OrderEvidence(count, 0, None, "", going_on, unbooked, filled, dict(_entering(ledger)))
    return records.OrderEvidence(count, len(unresolved), oldest.intent.at, oldest.intent.instrument.symbol, going_on)


def _bare(app: "App", ledger: "SqliteLedger", now: datetime | None) -> Mapping[str, datetime]:
    """Return the opening time of each position that should have a stop at the broker but, by the books, has none.

    Shares that orders have closed need none, even if no list of fills shows that yet.
    """
    totals = ledger.totals()
    remaining_shares = dict(totals.own_quantities())
    for fill in fills_awaited(ledger, now, app.day) if now else ():
        symbol = fill.order.symbol
        remaining_shares[symbol] = remaining_shares.get(symbol, Decimal(0)) + fill.signed_quantity
    rows = (row for row in load_holdings(app, totals, (), now) if row.is_held and remaining_shares.get(row.symbol))
    bare = (row for row in rows if row.protection and row.protection.lacks_stop)
    return {row.symbol: row.opened_at for row in bare if row.opened_at}


def _entering(ledger: "SqliteLedger") -> Iterator[tuple[str, datetime]]:
    """Return an iterator over the working entries, with the symbol of each and the time at which it was sent."""
    recorded = ledger.recorded_intents([order.client_order_id for order in ledger.orders(working=True)])
    opening = (record.intent for record in recorded.values() if record.intent.purpose is Purpose.OPEN)
    return ((intent.instrument.symbol, intent.at) for intent in opening)


def _halts(ledger: "SqliteLedger") -> records.Halts:
    state = ledger.trading_state()
    hidden = hidden_halts(ledger.halts(), state)
    return records.Halts(state, why_in_state(state), tuple(halt.why for halt in hidden))


def halts_by_files(folder: Path) -> records.Halts:
    """Return the trading state from the two files that record it besides the ledger."""
    state = halt_switch.read(folder)
    return records.Halts(state, why_in_state(state))


T = TypeVar("T")
REACH = timedelta(days=8)
LATELY = timedelta(days=1)
BACK = timedelta(days=10)
AS_BEFORE = timedelta(hours=1)
"""For this long after the open, the previous session's records are evidence too."""
OF_PASSES = ("exits", "entries", "facts", "clock", "strategies", "broker")
OF_FLOW = ("flow", "scores")
"""The components with evidence from the last session's records, and those that matter only if flow is read."""


def evidence_of(app: "App", now: datetime | None = None, *, thorough: bool = False) -> HealthEvidence:
    """Gather all evidence once. If a part can't be read, the reason takes its place, and the others are still read.

    `now` is the trading time at which jobs are judged as due or not; it defaults to the time of the last record. If
    `thorough`, every byte of books, backups and facts is read, even if nothing has changed since they were written.
    """
    settings, folder = app.settings, app.folder.path
    facts = attempt(lambda: _sound_facts(app, pages=thorough))
    at = now or attempt(lambda: _now(app, facts))
    past = at if at is None or isinstance(at, UnreadablePart) else attempt(lambda: _past(app, facts, at))
    past_evidence = past if isinstance(past, SessionEvidence) else None
    source = facts if isinstance(facts, UnreadablePart) else past
    parts: dict[str, Any] = {
        "serve": attempt(lambda: serve_of(folder, past_evidence.claims if past_evidence else ())),
        "config": attempt(lambda: _config(app)),
        "disk": attempt(lambda: disk_of(folder, settings.storage.min_free_mb, sandbox=app.mode is Mode.SANDBOX)),
        "storage": attempt(lambda: storage_of(folder, settings.storage.tell_mb)),
        **({"stream": attempt(lambda: stream_of(folder))} if settings.unusual_whales.stream else {}),
        **({"notices": attempt(lambda: notices_of(app))} if settings.notify.in_use() else {}),
        **({"models": attempt(lambda: models_of(app))} if has_policies(settings) else {}),
        **({"chat": attempt(lambda: chat_of(app))} if settings.chat.telegram else {}),
        "backup": _of(
            past,
            lambda past_sessions: backups_of(
                app, (*past_sessions.sessions, *past_sessions.later), past_sessions.now, thorough=thorough
            ),
        ),
        **({} if app.folder.kind == SHADOW else {"schedule": past}),
        **dict.fromkeys(OF_PASSES, source),
        **(_of_flow(app, source) if may_read_flow(app) else {}),
        "prices": _of(source, lambda evidence: _prices(app, evidence)),
        **({"replay": _of(source, lambda name: _replays(app, name))} if settings.storage.replay_sessions else {}),
        **({"parity": compared} if (compared := attempt(lambda: _parities(facts))) else {}),
        **_of_books(app, past, thorough=thorough),
    }
    # A strategy in shadow has no timetable of its own.
    timed = past_evidence if past_evidence and app.folder.kind != SHADOW else None
    due = {job: tuple(slot.start for slot in slots) for job, slots in timed.due.items()} if timed else {}
    coming = {job: slot.start for job, slot in past_evidence.coming.items()} if past_evidence else {}
    budgets, trading_time = budgets_of(settings), past_evidence.now if past_evidence else None
    finished = app.folder.kind == BACKTEST
    return HealthEvidence(datetime.now(UTC), trading_time, budgets, parts, due, coming, past, finished)


def _sound_facts(app: "App", *, pages: bool) -> "SqliteFacts | None":
    """Return the store of facts if it exists. A damaged one isn't opened, because opening would move it aside.

    A damaged page may be one that no query reads, so with `pages` all are read.
    """
    if (app.folder.path / FACTS).exists():
        check(app.folder.path / FACTS, pages=pages)
    return app.existing_facts


def _config(app: "App") -> records.Config:
    unread, settings = app.loaded.unread, app.settings
    bare = tuple(symbol for symbol in settings.universe if symbol not in settings.sectors)
    return records.Config(len(values_of(settings)), unread.message if unread else "", bare)


def _of_books(app: "App", past: "SessionEvidence | UnreadablePart | None", *, thorough: bool) -> Mapping[str, Any]:
    ledger = attempt(lambda: app.ledger_view)
    if isinstance(ledger, UnreadablePart):
        unread = dict.fromkeys(("books", "orders", "ledger", "journal", "calendar", "chores"), ledger)
        # Without the ledger, two files still say which trading state applies.
        return {**unread, "halts": attempt(lambda: halts_by_files(app.folder.path))}
    now = past.now if isinstance(past, SessionEvidence) else None
    books = {name: attempt(read) for name, read in books_of(ledger, now, app.day, thorough=thorough).items()}
    if isinstance(books["orders"], records.OrderEvidence):
        bare = attempt(lambda: _bare(app, ledger, now))
        books["orders"] = replace(books["orders"], bare={} if isinstance(bare, UnreadablePart) else bare)
    return books | {
        "calendar": _of(past, lambda evidence: _calendar(ledger, evidence, app.settings.capabilities)),
        "chores": _of(past, lambda evidence: chores_of(app, (*evidence.sessions, *evidence.later), evidence.now)),
    }


def _now(app: "App", facts: "SqliteFacts | UnreadablePart | None") -> datetime | None:
    """Return trading time: in the sandbox, whose time stands still, the time of the last record.

    Elsewhere return this machine's time, or the time of the last record if the broker's clock is a little ahead.
    """
    mark = app.ledger_view.last_reconcile()
    times = [mark.at if mark else None]
    if facts is not None and not isinstance(facts, UnreadablePart):
        times.append(facts.last_pass())
    if app.mode is Mode.SANDBOX:
        return age_reference_time(app, times)
    now, most = datetime.now(UTC), timedelta(seconds=app.settings.limits.max_clock_disagreement_s)
    return max([now, *(at for at in times if at is not None and at <= now + most)])


def _past(app: "App", facts: "SqliteFacts | UnreadablePart | None", now: datetime) -> SessionEvidence:
    ledger = app.ledger_view
    around = ledger.sessions(now.date() - REACH, now.date() + REACH)
    last, later = [each for each in around if each.open <= now][-2:], [each for each in around if each.open > now]
    sessions = [each for each in last[:-1] if now - last[-1].open < AS_BEFORE] + last[-1:]
    since = ledger.books_opened_at() or now
    claims = tuple(claim for each in sessions for claim in ledger.slot_claims(each.date))
    due = {
        job: pass_health.slots_that_took_place(
            [slot for each in sessions for slot in slots(job, times, each) if since <= slot.start <= now],
            [claim for claim in claims if claim.job == job],
        )
        for job, times in app.settings.timetable.items()
    }
    ahead = {
        job: next((slot for each in (*sessions, *later) for slot in slots(job, times, each) if slot.start > now), None)
        for job, times in app.settings.timetable.items()
    }
    coming = {job: slot for job, slot in ahead.items() if slot}
    recorded = facts is not None and not isinstance(facts, UnreadablePart) and bool(sessions)
    cycles = facts.unpriced_passes(sessions[0].open) if recorded else ()  # type: ignore[union-attr]
    # If the fills are damaged, the passes can still be judged.
    totals = attempt(ledger.totals)
    return SessionEvidence(
        now=now,
        sessions=sessions,
        later=later[:1],
        coming=coming,
        due=due,
        claims=claims,
        cycles=cycles,
        compared=ledger.last_reconcile(),
        strategies=tuple(app.settings.strategies.in_use()),
        chores={line.job for line in app.settings.timetable.chores},
        tested=backtested_code(app.folder.path),
        positions={} if isinstance(totals, UnreadablePart) else totals.positions,
    )


def _prices(app: "App", past: SessionEvidence) -> records.PriceEvidence | None:
    facts, positions = app.existing_facts, app.ledger_view.totals().own_positions()
    return pass_health.prices_of(past.cycles, positions, lambda at: facts.marks(at, at)) if facts else None


def _replays(app: "App", past: SessionEvidence) -> records.Replays | None:
    days = {cycle.session for cycle in past.cycles}
    return pass_health.replays_of(past.cycles, {kept_pass.id for day in days for kept_pass in app.passes.passes(day)})


def _parities(facts: "SqliteFacts | UnreadablePart | None") -> records.ParityEvidence | None:
    """Return the totals of the sessions that were compared with their backtests; None if none was."""
    days = facts.parities(LATELY_COMPARED) if isinstance(facts, SqliteFacts) else ()
    totals = over_time(days)
    return (
        records.ParityEvidence(totals.sessions, days[-1].session, in_words(totals), days[-1].ours) if totals else None
    )


def _of_flow(app: "App", source: "SessionEvidence | UnreadablePart | None") -> Mapping[str, Any]:
    return {**dict.fromkeys(OF_FLOW, source), "signals": _of(source, lambda evidence: _signals(app, evidence))}


def may_read_flow(app: "App") -> bool:
    """Return False only if no strategy in use can read options flow; no plug-in is started to find out."""
    strategies = app.settings.strategies
    return strategies.flow is not None or strategies.plugins() > 0 or bool(app.needed_facts)


def _signals(app: "App", past: SessionEvidence) -> records.ReplyEvidence | None:
    if app.existing_facts is None:
        return None
    replies = app.existing_facts.checked_replies(judged_since(app.ledger_view, past.now), past.now)
    if not replies:
        return None
    findings = harmful_drifts(drifts(replies), app.settings.tightest_limits.max_foreign_share)
    return records.ReplyEvidence(len(replies), max(reply.at for reply in replies), str(findings[0]) if findings else "")


def judged_since(ledger: "SqliteLedger", now: datetime) -> datetime:
    """Return the start of the period for judging the flow source: a day ago, or the last open if that is earlier."""
    begun = begun_by(ledger, now, REACH)
    return min([now - LATELY, *(each.open for each in begun[-1:])])


def moment_of(ledger: "SqliteLedger", now: datetime, since: datetime | None = None) -> records.TradingMoment:
    """Return a time with its session (the current or the last one), and `since`, by default that session's open."""
    begun = begun_by(ledger, now, BACK)
    session = begun[-1] if begun else None
    return records.TradingMoment(now, since or (session.open if session else now - LATELY), session)


def _calendar(ledger: "SqliteLedger", past: SessionEvidence, venue: "Capabilities") -> Any:
    day = venue.day
    today = session_date(ledger, past.now, day)
    ahead = ledger.sessions(today, today + timedelta(days=400))
    disagrees, differs = pass_health.calendar_differs(past.cycles), difference(ledger, today)
    apart = (disagrees, differs) if venue.hours_win else (disagrees or differs, "")
    return records.CalendarEvidence(len(ahead), calendar_end(ledger, past.now, day) or today, *apart) if ahead else None


def budgets_of(settings: "Settings") -> records.Budgets:
    """Return how long each part may be delayed."""
    health, limits = settings.health, settings.limits
    return records.Budgets(
        health.slot_s,
        health.note_s,
        settings.serve.stall_s,
        health.backup_s,
        NEAR_END_DAYS,
        limits.max_clock_skew_s,
        limits.max_quote_age_s,
    )


def _of(evidence: "T | UnreadablePart | None", read: "Callable[[T], Any]") -> Any:
    return evidence if evidence is None or isinstance(evidence, UnreadablePart) else attempt(lambda: read(evidence))


def attempt(read: Callable[[], T]) -> T | UnreadablePart:
    """Return the result of a read, or why it failed."""
    try:
        return read()
    except TradebotError as failed:
        return UnreadablePart(failed.message, failed.hint)
