"""Judge everything that can be judged: what the usual table covers, and what needs the broker or a period of time."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from tradebot.exits.exit_rule import WatchedPosition, best_price
from tradebot.exits.rules import Exits, effective_rules, evaluate_rules, has_stop, is_blind
from tradebot.gates import margin as margin_of
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates import prices as prices_of
from tradebot.judging.evidence import Broker, HealthEvidence, Trading, UnreadablePart
from tradebot.judging.judgment import Examination, HealthState, Judgment, judge_evidence, judge_skipped, permission
from tradebot.judging.pass_health import FINISHED, RECONCILE, RECOVER, TABLE, judge_passes
from tradebot.judging.signal_health import KindHealth, SignalHealth
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import RiskBook
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import EntryTerms, Position
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.sentences import plain, pluralize, span
from tradebot.ports.world import Rules

FETCH, SIGNALS, WHY = "tradebot fetch-flow", "tradebot signals", "tradebot why-no-orders --since session"
EXITS = "tradebot evaluate-exits"
LATE = timedelta(minutes=3)
"""How long an order may keep working past its life, because the pass that cancels it runs slightly later."""


def judge_unqueried(name: str, why: UnreadablePart | None) -> Judgment:
    """Return the judgment about something that only the broker knows, if the broker couldn't be read.

    `why` is None if the broker wasn't queried.
    """
    if why is None:
        return judge_skipped(name, "skipped: --offline", "the broker")
    return Judgment(name, HealthState.FAILED, "the broker", 0, why.why, why.next or "tradebot doctor")


def judge_absence(name: str, what: str, evidence: Trading) -> Judgment:
    """Judge books that have none of something, such as orders; that is OK only if the broker was queried too."""
    if isinstance(evidence.broker, Broker):
        look = Examination("reply from the broker", 1, evidence.broker.clock.now)
        return judge_evidence(
            name, look, evidence.moment.now, HealthState.OK, f"neither the books nor the broker have any {what}"
        )
    return judge_skipped(name, f"the books have no {what}, and the broker wasn't asked", what)


def orders(evidence: Trading) -> Judgment:
    """Judge the orders: overdue ones, those with an unknown status, and recent rejections by the venue."""
    name, total = "working orders", sum(evidence.intents.values())
    if not total:
        return judge_absence(name, "order", evidence)
    old = [order for order, record in evidence.working if record and _is_overdue(order, record, evidence)]
    odd = [order for order, _ in evidence.working if order.status is OrderStatus.UNKNOWN]
    finding = f"{len(evidence.working)} working, {evidence.rejected} rejected by the broker"
    finding += f"; {len(old)} should have ended: {_ids(old)}" if old else ""
    finding += f"; {len(odd)} with a status we don't know: {_ids(odd)}" if odd else ""
    state = HealthState.DEGRADED if old or odd or evidence.rejected else HealthState.OK
    at = max((record.intent.at for _, record in evidence.working if record), default=None)
    command = (EXITS if evidence.moment.is_open else RECONCILE) if old or odd else WHY
    return judge_evidence(name, Examination("intents", total, at), evidence.moment.now, state, finding, command)


def _is_overdue(order: Order, record: IntentRecord, evidence: Trading) -> bool:
    """Return True if the order has outlived its life and the pass that should have ended it."""
    # A protective order rests until it acts or the position is closed.
    if record.intent.protects or order.status.terminal:
        return False
    limits = evidence.rules.limits
    life_s = limits.entry_life_s if record.intent.purpose is Purpose.OPEN else limits.exit_life_s
    return evidence.moment.now - record.intent.at > timedelta(seconds=life_s) + LATE


def _ids(orders: list[Order]) -> str:
    return ", ".join(f"{order.symbol} {order.client_order_id}" for order in orders[:3])


def broker(evidence: Trading) -> Judgment:
    """Compare the ledger with the broker, as a reconcile would."""
    name, answer = "ledger against broker", evidence.broker
    if not isinstance(answer, Broker):
        return judge_unqueried(name, answer)
    view, now = answer.view, evidence.moment.now
    look = Examination("positions, orders, cash", len(view.positions) + len(view.orders) + 1, answer.clock.now)
    unapplied = f"; {pluralize(answer.unapplied, 'new fact')} to apply in the next pass" if answer.unapplied else ""
    if view.unreadable:
        observed = f"{view.unreadable} of the broker's rows can't be read: entries are blocked"
        return judge_evidence(name, look, now, HealthState.FAILED, observed, RECONCILE)
    if not answer.findings:
        return judge_evidence(name, look, now, HealthState.OK, f"they agree{unapplied}")
    blocking = sum(finding.blocking for finding in answer.findings)
    first = min(answer.findings, key=lambda finding: not finding.blocking)
    count = f"{pluralize(len(answer.findings), 'difference')}, {blocking} blocking entries"
    observed = f"{count}; {first.subject}: {first.meaning}{unapplied}"
    return judge_evidence(
        name, look, now, HealthState.FAILED if blocking else HealthState.DEGRADED, observed, RECONCILE
    )


def rows(evidence: Trading) -> Judgment:
    """Compare the ledger with the journal: every money row must be in both and identical."""
    name, row_evidence = "money rows", evidence.rows
    if isinstance(row_evidence, UnreadablePart):
        return Judgment(name, HealthState.FAILED, "rows and records", 0, row_evidence.why, row_evidence.next)
    look, now = Examination("rows and records", row_evidence.rows + row_evidence.records), evidence.moment.now
    if row_evidence.missing:
        finding = f"{row_evidence.missing} of {pluralize(row_evidence.rows, 'ledger row')} don't match the journal"
        return judge_evidence(name, look, now, HealthState.FAILED, finding, RECOVER)
    finding = f"{pluralize(row_evidence.records, 'record')} cover all {pluralize(row_evidence.rows, 'row')}"
    finding += (
        f"; {pluralize(row_evidence.ahead, 'record')} written for a commit that failed" if row_evidence.ahead else ""
    )
    return judge_evidence(name, look, now, HealthState.OK, finding)


def market(evidence: Trading) -> Judgment:
    """Judge whether the broker's clock and the stored calendar agree about the session."""
    name, broker, moment = "market session", evidence.broker, evidence.moment
    if not isinstance(broker, Broker):
        return judge_unqueried(name, broker)
    look, ours = Examination("clocks", 2, broker.clock.now), moment.is_open
    words = {True: "open", False: "closed"}
    if broker.clock.is_open != ours:
        finding = (
            f"the broker says that the market is {words[broker.clock.is_open]}, but the calendar says"
            f" {words[ours]}, so no order is sent"
        )
        return judge_evidence(name, look, moment.now, HealthState.FAILED, finding, "tradebot status")
    turn, at = ("closes", broker.clock.next_close) if ours else ("opens", broker.clock.next_open)
    return judge_evidence(name, look, moment.now, HealthState.OK, f"{words[ours]}, {turn} {at:%Y-%m-%d %H:%M} UTC")


def kinds(evidence: Trading) -> Iterator[Judgment]:
    """Yield the health of each kind of facts, as `signals` reports it; an unusable core kind blocks entries."""
    for kind in evidence.kinds:
        look = Examination(f"of {kind.wanted} replies", kind.answered, kind.last_success)
        age = "" if kind.age_s is None else f"; oldest {span(kind.age_s)} of {span(kind.limit_s)}"
        state, drift_row = _state(kind), next((drift for drift in kind.drifts if kind.why in drift.what), None)
        finding = f"{kind.why}{age}; {pluralize(kind.rows, 'row')}, {kind.bad:,} bad"
        finding += f"; such as {drift_row.example}" if drift_row else ""
        finding += ": this blocks entries" if state is HealthState.FAILED else ""
        yield judge_evidence(kind.name, look, evidence.moment.now, state, finding, SIGNALS if kind.answered else FETCH)


def _state(kind: KindHealth) -> HealthState:
    if kind.state is SignalHealth.CRITICAL:
        closes = kind.name == FLOW_ALERTS or (kind.core and any(drift.broken for drift in kind.drifts))
        return HealthState.FAILED if closes else HealthState.DEGRADED
    if kind.state is SignalHealth.UNKNOWN:
        return HealthState.SKIPPED if kind.idle else HealthState.UNKNOWN
    return HealthState.OK if kind.state is SignalHealth.HEALTHY else HealthState.DEGRADED


def quotes(evidence: Trading) -> Judgment:
    """Judge the quotes: entries need fresh ones, exits need any at all."""
    name, broker, moment = "quotes", evidence.broker, evidence.moment
    if not isinstance(broker, Broker):
        return judge_unqueried(name, broker)
    if not broker.quotes and not moment.is_open:
        return judge_skipped(
            name, f"the market is closed, and none of {broker.asked_quotes} symbols has a quote", "quotes"
        )
    if not broker.quotes:
        finding = f"none of {broker.asked_quotes} symbols has a usable quote"
        return Judgment(name, HealthState.FAILED, "quotes", 0, finding, "tradebot doctor")
    limit_s = evidence.rules.tightest.max_quote_age_s
    stale = [q for q in broker.quotes.values() if q.age_s(moment.now) > limit_s]
    absent = broker.asked_quotes - len(broker.quotes)
    look = Examination(
        f"of {broker.asked_quotes} quotes", len(broker.quotes), max(q.at for q in broker.quotes.values())
    )
    finding = f"{absent} absent, {len(stale)} older than {span(limit_s)}"
    finding += next((f"; {symbol}: {why}" for symbol, why in broker.rejected_quotes.items()), "")
    late = moment.is_open and bool(absent or stale)
    return judge_evidence(
        name, look, moment.now, HealthState.DEGRADED if late else HealthState.OK, finding, "tradebot doctor"
    )


def coverage(evidence: Trading) -> Judgment:
    """Judge the last scores: how many symbols were scored, and how many with too little data."""
    name, last, moment = "last scores", evidence.score, evidence.moment
    if last is None and Job.SCORE not in evidence.due:
        return judge_skipped(name, "no score has been due yet", "scores")
    if last is None or not last.candidates:
        finding = "the last pass scored no symbol" if last else "nothing was scored"
        return Judgment(name, HealthState.UNKNOWN, "scores", 0, finding, "tradebot score")
    least = evidence.rules.tightest.min_coverage
    covered = [r.candidate for r in last.candidates if r.candidate.coverage is not None or r.candidate.reads_flow]
    thin = [candidate.symbol for candidate in covered if (candidate.coverage or 0.0) < least]
    finding = f"{pluralize(len(thin), 'symbol')} with less than {least:.0%} of the data that a score needs"
    finding += f": {', '.join(thin[:5])}" if thin else ""
    state = HealthState.DEGRADED if thin and len(thin) == len(covered) else HealthState.OK
    return judge_evidence(name, Examination("scores", len(last.candidates), last.at), moment.now, state, finding, FETCH)


def cycles(evidence: Trading) -> Judgment:
    """Judge the trade-once passes in the period: each candidate must have led to an order or a refusal."""
    name, pass_evidence = "passes of trade-once", evidence.passes
    if not pass_evidence.cycles and Job.TRADE_ONCE not in evidence.due:
        return judge_skipped(name, "no pass has been due yet", "passes")
    if not pass_evidence.cycles:
        return Judgment(
            name, HealthState.UNKNOWN, "passes", 0, "none was recorded in this period", "tradebot trade-once"
        )
    look = Examination("passes", len(pass_evidence.cycles), pass_evidence.cycles[-1].at)
    refused = [cycle.job_decision for cycle in pass_evidence.cycles if cycle.job_decision]
    ended = sum(pass_evidence.ends.values())
    candidates, sent = pass_evidence.candidates, pass_evidence.candidates - ended
    finding = f"{pluralize(candidates, 'candidate')} = {pluralize(sent, 'order')} + {ended:,} refused"
    if not refused:
        return judge_evidence(name, look, evidence.moment.now, HealthState.OK, finding)
    finding = (
        f"{pluralize(len(refused), 'pass', 'passes')} refused entirely, the last by {refused[-1].reason}; {finding}"
    )
    broken = any(d.reason and REASONS[d.reason].cause is Cause.BROKEN for d in refused)
    return judge_evidence(
        name, look, evidence.moment.now, HealthState.FAILED if broken else HealthState.OK, finding, WHY
    )


def judge_refusals(evidence: Trading) -> Judgment:
    """Judge why entries were refused: it is fine if a rule blocks, but not if the bot or a source has a fault."""
    name, pass_evidence = "reasons of refusal", evidence.passes
    if not pass_evidence.candidates:
        return judge_skipped(name, "no candidate in this period", "candidates")
    look = Examination(
        "candidates", pass_evidence.candidates, pass_evidence.cycles[-1].at if pass_evidence.cycles else None
    )
    ordered = sorted(pass_evidence.ends.items(), key=lambda end: -end[1])
    faults = [(reason, count) for reason, count in ordered if REASONS[reason].cause in (Cause.BROKEN, Cause.UNKNOWN)]
    finding = ", ".join(f"{count:,} {reason}" for reason, count in (faults or ordered)[:4]) or "none was refused"
    return judge_evidence(
        name, look, evidence.moment.now, HealthState.DEGRADED if faults else HealthState.OK, finding, WHY
    )


def events(evidence: Trading) -> Judgment:
    """Judge the operational events of the last day: replies in an unknown format, and errors."""
    name, watched_events = "recent events", evidence.events
    if watched_events is None or not (watched_events.lines or watched_events.torn):
        return judge_skipped(name, "no event was ever written", "events")
    # Events have wall-clock times, so they have no age in trading time.
    facts = [f"{what} ({pluralize(count, 'time')})" for what, count in list(watched_events.counts.items())[:4]]
    facts += [f"{pluralize(watched_events.torn, 'line')} can't be read as an event"] if watched_events.torn else []
    state = HealthState.FAILED if watched_events.errors else HealthState.DEGRADED if facts else HealthState.OK
    finding, command = (
        ", ".join(facts) or "none needs attention",
        "tradebot events" if watched_events.counts else "tradebot doctor",
    )
    return judge_evidence(
        name, Examination("events", watched_events.lines), evidence.moment.now, state, finding, command
    )


WAITING = frozenset(
    {Reason.HOLD, Reason.ORDER_WORKING, Reason.INTENT_UNRESOLVED, Reason.DRY_RUN, Reason.LEFT_TO_BROKER}
)
"""Reasons of an exit decision with which the position is managed: its rules don't close it, or an order is out."""


def positions(evidence: Trading) -> Judgment:
    """Judge the positions in the books. Foreign positions are judged when the books are compared with the broker."""
    name = "own positions"
    if not evidence.fills:
        return judge_absence(name, "position", evidence)
    positions, look = evidence.positions, Examination("fills", evidence.fills, evidence.newest_fill)
    outside = sorted({p.symbol for p in positions} - set(evidence.rules.universe))
    finding = f"{len(positions)} open" + (f"; no longer in the universe: {', '.join(outside)}" if outside else "")
    if isinstance(evidence.broker, Broker) and evidence.broker.leaps:
        leaps = (
            f"{leap.symbol} of {leap.strategy} was {leap.before} and is {leap.after}" for leap in evidence.broker.leaps
        )
        finding += f"; impossible according to the broker's last fills: {', '.join(leaps)}"
        return judge_evidence(name, look, evidence.moment.now, HealthState.FAILED, finding, "tradebot reconcile")
    return judge_evidence(name, look, evidence.moment.now, HealthState.OK, finding)


def exits_recorded(evidence: Trading) -> Judgment:
    """Judge whether the last pass of evaluate-exits checked every position and could close what it had to."""
    name, positions, last = "exits as recorded", evidence.positions, evidence.exits
    if not positions:
        return _unheld(name, evidence)
    if last is None:
        finding = (
            f"{pluralize(len(positions), 'position')}, but no pass of evaluate-exits is on record: nothing watches them"
        )
        return Judgment(name, HealthState.FAILED, "passes", 0, finding, EXITS)
    records = {(r.candidate.strategy, r.candidate.symbol): r for r in last.candidates if r.candidate.source == "exit"}
    unseen = [p.symbol for p in positions if (p.strategy, p.symbol) not in records and p.opened_at <= last.at]
    stuck = [why for record in records.values() if (why := _stuck(record))]
    look = Examination("exit decisions", len(records), last.at)
    if unseen or stuck:
        finding = "; ".join((*stuck, *([f"not checked: {', '.join(unseen)}"] if unseen else [])))
        return judge_evidence(name, look, evidence.moment.now, HealthState.FAILED, finding, EXITS)
    if not records:
        finding = f"{pluralize(len(positions), 'position')} opened since the last pass, which checked none"
        return judge_evidence(name, look, evidence.moment.now, HealthState.UNKNOWN, finding, EXITS)
    return judge_evidence(name, look, evidence.moment.now, HealthState.OK, "each position was held or is being closed")


def _stuck(record: CandidateRecord) -> str | None:
    """Return why a position wasn't closed or judged although it should have been; None if it is managed."""
    reason = record.terminal.reason if record.terminal else None
    if reason is None or reason in WAITING:
        return None
    return f"{record.candidate.symbol} ended at {reason}: {REASONS[reason].meaning}"


def exits_now(evidence: Trading) -> Judgment:
    """Apply the exit rules to each position at current quotes; if the price is past a rule's level, a close must be
    working.
    """
    name, broker = "exits at quotes", evidence.broker
    if not isinstance(broker, Broker):
        return judge_unqueried(name, broker)
    if not evidence.positions:
        return _unheld(name, evidence)
    answers, unstopped = list[tuple[Position, Decision]](), list[str]()
    for position in evidence.positions:
        entry_terms = evidence.kept.get(position.holding, EntryTerms())
        rules = effective_rules(evidence.rules.exits_of(position.strategy), entry_terms)
        answers.append((position, _exit(position, entry_terms, rules, broker, evidence)))
        # Their strategies' exits have no stop, which is the owner's choice.
        unstopped += [] if has_stop(rules) else [position.symbol]
    look = Examination("positions", len(answers), max((q.at for q in broker.quotes.values()), default=None))
    blind = [p.symbol for p, decision in answers if is_blind(decision)]
    busy = {order.symbol for order in broker.book.own_orders} | broker.book.unresolved
    beyond = [f"{p.symbol} {d.reason}" for p, d in answers if d.passed and p.symbol not in busy]
    now = evidence.moment.now
    if not evidence.moment.is_open:
        finding = f"the session is closed; exit rules would close {len(beyond)} of {len(answers)} at these quotes"
        return judge_evidence(name, look, now, HealthState.OK, finding)
    if beyond or blind:
        parts = (("should be closing", beyond), ("can't be judged", blind))
        finding = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
        return judge_evidence(name, look, now, HealthState.FAILED if blind else HealthState.DEGRADED, finding, EXITS)
    finding = "each is within its rules or being closed"
    finding += f"; without a stop: {', '.join(unstopped)}" if unstopped else ""
    return judge_evidence(name, look, now, HealthState.OK, finding)


def _exit(position: Position, entry_terms: EntryTerms, rules: Exits, broker: Broker, evidence: Trading) -> Decision:
    quote, ratio = broker.quotes.get(position.symbol), broker.position_ratios.get(position.symbol, Decimal(1))
    best = best_price(position, quote if ratio == 1 else None, entry_terms.best)
    return evaluate_rules(
        WatchedPosition(position, best), quote, evidence.moment.now, rules, evidence.state.state, ratio
    ).decision


def _unheld(name: str, evidence: Trading) -> Judgment:
    if not evidence.fills:
        return judge_absence(name, "position", evidence)
    look = Examination("fills", evidence.fills, evidence.newest_fill)
    return judge_evidence(
        name, look, evidence.moment.now, HealthState.OK, "no position is open, so there is nothing to protect"
    )


_OF_BOOK = (Gate.GROSS_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.OPEN_POSITIONS)
_LIMITS = (*_OF_BOOK, Gate.DAILY_LOSS, Gate.DRAWDOWN, Gate.SESSION_ENTRIES)


def judge_limits(evidence: Trading) -> Iterator[Judgment]:
    """Check each limit on the present book, with the same function as the gates."""
    broker = evidence.broker
    if not isinstance(broker, Broker):
        yield judge_unqueried("limits on the book", broker)
        return
    answers: dict[Gate, list[tuple[str, Decision]]] = defaultdict(list)
    rules, book = evidence.rules, broker.book
    for subject, decision in (
        *limits_of.monitors(book, rules.limits, rules.halts),
        *limits_of.rate_monitors(book, rules.limits, evidence.moment.now),
        *margin_of.monitors(book, rules.limits, rules.halts),
        *prices_of.monitors(broker.quotes, rules.limits),
        *_of_strategies(book, rules, evidence),
    ):
        answers[decision.gate].append((subject, decision))
    # Rate limits have a result only once something was entered, so they come after the fixed ones.
    for gate in (*_LIMITS, *(gate for gate in answers if gate not in _LIMITS)):
        yield _limit(gate, answers[gate], broker, evidence)


def _of_strategies(book: RiskBook, rules: Rules, evidence: Trading) -> Iterator[tuple[str, Decision]]:
    """Yield the decisions of each strategy's own limits on its part of the book, under the strategy's name."""
    for name in dict.fromkeys((*rules.own, *(stake.strategy for stake in book.stakes))):
        own = rules.of(name)
        part = book.own(name, own.allotment_fraction * book.equity, rules.sectors)
        for subject, decision in limits_of.own_monitors(part, own.limits, evidence.moment.now):
            yield f"{name} {subject}".rstrip(), decision


def _limit(gate: Gate, answers: list[tuple[str, Decision]], broker: Broker, evidence: Trading) -> Judgment:
    name, now = gate.value, evidence.moment.now
    look = Examination("values" if answers else "account without exposure", len(answers) or 1, broker.clock.now)
    if not answers:
        return judge_evidence(name, look, now, HealthState.OK, "nothing is exposed")
    broken = [(subject, d) for subject, d in answers if not d.passed]
    sizes = [0.0 if isinstance(d.observed, str | None) else float(d.observed) for _, d in broken or answers]
    subject, worst = (broken or answers)[sizes.index(max(sizes))]
    numbers = f"{subject} {plain(worst.observed)} against {plain(worst.limit)}".lstrip()
    if not broken:
        return judge_evidence(name, look, now, HealthState.OK, f"largest: {numbers}")
    finding = f"{len(broken)} over the limit, {numbers}: {REASONS[worst.reason].meaning}" if worst.reason else numbers
    state = HealthState.UNKNOWN if worst.verdict is Verdict.UNKNOWN else HealthState.FAILED
    return judge_evidence(name, look, now, state, finding, "tradebot positions")


BOOKS = ("ledger", "journal", "books", "backup")


def audit(
    evidence: HealthEvidence, trading: Trading | UnreadablePart, *, finished: bool = False
) -> tuple[Judgment, ...]:
    """Judge all evidence, most urgent first; for a `finished` backtest, judge only the books."""
    if isinstance(trading, UnreadablePart):
        unread = Judgment("everything else", HealthState.FAILED, "records", 0, trading.why, trading.next or RECOVER)
        return (*judge_passes(evidence, FINISHED if finished else TABLE), unread)
    return tuple(_of_finished(evidence, trading) if finished else _everything(evidence, trading))


def _of_finished(evidence: HealthEvidence, trading: Trading) -> Iterator[Judgment]:
    yield from (*judge_passes(evidence, FINISHED), rows(trading), positions(trading), orders(trading))


def _everything(evidence: HealthEvidence, trading: Trading) -> Iterator[Judgment]:
    own = {judgment.subject: judgment for judgment in judge_passes(evidence)}
    yield from (own.pop(name) for name in BOOKS)
    yield from (rows(trading), broker(trading), exits_recorded(trading), exits_now(trading))
    yield from (*judge_limits(trading), orders(trading))
    flags = trading.broker.view.account.blocked if isinstance(trading.broker, Broker) else None
    yield from (
        permission(trading.permission, trading.moment.now, flags),
        *own.values(),
        market(trading),
        positions(trading),
    )
    yield from (
        quotes(trading),
        *kinds(trading),
        coverage(trading),
        cycles(trading),
        judge_refusals(trading),
        events(trading),
    )
