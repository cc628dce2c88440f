"""Judge what an audit looks at of the market, the flow, the passes of a span and the events."""

from collections.abc import Iterator

from tradebot.judging.books import silent
from tradebot.judging.judgment import Judgment, Look, State, looked, skipped
from tradebot.judging.signals import Health, KindHealth
from tradebot.judging.trading import Broker, Trading
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.reasons import REASONS, Cause
from tradebot.model.record import Job
from tradebot.model.text import counted, span

FETCH, SIGNALS = "tradebot fetch-flow", "tradebot signals"


def market(evidence: Trading) -> Judgment:
    """Judge whether the broker's clock and the stored calendar agree about the session."""
    name, broker, moment = "market session", evidence.broker, evidence.moment
    if not isinstance(broker, Broker):
        return silent(name, broker)
    look, ours = Look("clocks", 2, broker.clock.now), moment.is_open
    words = {True: "open", False: "closed"}
    if broker.clock.is_open != ours:
        found = f"the broker says {words[broker.clock.is_open]}, the calendar {words[ours]}: no order is sent"
        return looked(name, look, moment.now, State.FAILED, found, "tradebot status")
    turn = "closes" if ours else "opens"
    turn += f" {broker.clock.next_close if ours else broker.clock.next_open:%Y-%m-%d %H:%M}"
    return looked(name, look, moment.now, State.OK, f"{words[ours]}, {turn} UTC")


def kinds(evidence: Trading) -> Iterator[Judgment]:
    """Yield how each kind of facts is, as `signals` says; a core kind that can't be used closes entries."""
    for kind in evidence.kinds:
        look = Look(f"of {kind.wanted} replies", kind.answered, kind.last_success)
        age = "" if kind.age_s is None else f"; oldest {span(kind.age_s)} of {span(kind.limit_s)}"
        state, shown = _state(kind), next((drift for drift in kind.drifts if kind.why in drift.what), None)
        found = f"{kind.why}{age}; {counted(kind.rows, 'row')}, {kind.bad:,} bad"
        found += f"; such as {shown.example}" if shown else ""
        found += ": this closes entries" if state is State.FAILED else ""
        yield looked(kind.name, look, evidence.moment.now, state, found, SIGNALS if kind.answered else FETCH)


def _state(kind: KindHealth) -> State:
    if kind.state is Health.CRITICAL:
        closes = kind.name == FLOW_ALERTS or (kind.core and any(drift.broken for drift in kind.drifts))
        return State.FAILED if closes else State.DEGRADED
    if kind.state is Health.UNKNOWN:
        return State.SKIPPED if kind.idle else State.UNKNOWN
    return State.OK if kind.state is Health.HEALTHY else State.DEGRADED


def quotes(evidence: Trading) -> Judgment:
    """Judge the quotes: entries need fresh ones, exits need any at all."""
    name, broker, moment = "quotes", evidence.broker, evidence.moment
    if not isinstance(broker, Broker):
        return silent(name, broker)
    if not broker.quotes and not moment.is_open:
        return skipped(name, f"closed, and none of {broker.asked_quotes} symbols has a quote", "quotes")
    if not broker.quotes:
        found = f"none of {broker.asked_quotes} symbols has a usable quote"
        return Judgment(name, State.FAILED, "quotes", 0, found, "tradebot doctor")
    limit_s = evidence.rules.tightest.max_quote_age_s
    stale = [q for q in broker.quotes.values() if q.age_s(moment.now) > limit_s]
    absent = broker.asked_quotes - len(broker.quotes)
    look = Look(f"of {broker.asked_quotes} quotes", len(broker.quotes), max(q.at for q in broker.quotes.values()))
    found = f"{absent} absent, {len(stale)} older than {span(limit_s)}" + _why_absent(broker)
    late = moment.is_open and bool(absent or stale)
    return looked(name, look, moment.now, State.DEGRADED if late else State.OK, found, "tradebot doctor")


def _why_absent(broker: Broker) -> str:
    first = next(iter(broker.rejected_quotes.items()), None)
    return f"; {first[0]}: {first[1]}" if first else ""


def coverage(evidence: Trading) -> Judgment:
    """Judge the last scores: how many symbols were scored, and how many on too little data."""
    name, last, moment = "last scores", evidence.score, evidence.moment
    if last is None and Job.SCORE not in evidence.due:
        return skipped(name, "no score has been due yet", "scores")
    if last is None or not last.candidates:
        found = "nothing was scored" if last is None else "the last pass scored no symbol"
        return Judgment(name, State.UNKNOWN, "scores", 0, found, "tradebot score")
    least = evidence.rules.tightest.min_coverage
    covered = [r.candidate for r in last.candidates if r.candidate.coverage is not None or r.candidate.reads_flow]
    thin = [candidate.symbol for candidate in covered if (candidate.coverage or 0.0) < least]
    found = f"{counted(len(thin), 'symbol')} with less than {least:.0%} of the data" + (
        f": {', '.join(thin[:5])}" if thin else ""
    )
    look = Look("scores", len(last.candidates), last.at)
    state = State.DEGRADED if thin and len(thin) == len(covered) else State.OK
    return looked(name, look, moment.now, state, found, FETCH)


def cycles(evidence: Trading) -> Judgment:
    """Judge the passes of trade-once over the span: candidates = orders + refused."""
    name, seen = "passes of trade-once", evidence.passes
    if not seen.cycles and Job.TRADE_ONCE not in evidence.due:
        return skipped(name, "no pass has been due yet", "passes")
    if not seen.cycles:
        found = "none was recorded in this period"
        return Judgment(name, State.UNKNOWN, "passes", 0, found, f"tradebot {Job.TRADE_ONCE.value}")
    look = Look("passes", len(seen.cycles), seen.cycles[-1].at)
    refused = [cycle.job_decision for cycle in seen.cycles if cycle.job_decision]
    ended = sum(seen.ends.values())
    found = f"{counted(seen.candidates, 'candidate')} = {counted(seen.candidates - ended, 'order')} + {ended:,} refused"
    if not refused:
        return looked(name, look, evidence.moment.now, State.OK, found)
    found = f"{len(refused)} refused entirely, last by {refused[-1].reason}; {found}"
    broken = any(d.reason and REASONS[d.reason].cause is Cause.BROKEN for d in refused)
    state = State.FAILED if broken else State.OK
    return looked(name, look, evidence.moment.now, state, found, "tradebot why-no-orders --since session")


def blocks(evidence: Trading) -> Judgment:
    """Judge why candidates were refused: a blocking rule is fine, our own fault or a source's isn't."""
    name, seen = "reasons of refusal", evidence.passes
    if not seen.candidates:
        return skipped(name, "no candidate in this period", "candidates")
    look = Look("candidates", seen.candidates, seen.cycles[-1].at if seen.cycles else None)
    ordered = sorted(seen.ends.items(), key=lambda end: -end[1])
    faults = [(reason, count) for reason, count in ordered if REASONS[reason].cause in (Cause.BROKEN, Cause.UNKNOWN)]
    found = ", ".join(f"{count:,} {reason}" for reason, count in (faults or ordered)[:4]) or "none was refused"
    if not faults:
        return looked(name, look, evidence.moment.now, State.OK, found)
    return looked(name, look, evidence.moment.now, State.DEGRADED, found, "tradebot why-no-orders --since session")


def events(evidence: Trading) -> Judgment:
    """Judge the operational events of the last day: replies in an unknown format, and errors."""
    name, seen = "recent events", evidence.events
    if seen is None or not (seen.lines or seen.torn):
        return skipped(name, "no event was ever written", "events")
    # Events are stamped with wall-clock time, so they have no age in trading time.
    look, now = Look("events", seen.lines), evidence.moment.now
    found = [f"{what} ({counted(count, 'time')})" for what, count in list(seen.counts.items())[:4]]
    found += [f"{counted(seen.torn, 'line')} can't be read as an event"] if seen.torn else []
    if not found:
        return looked(name, look, now, State.OK, "none needs attention")
    state, remedy = (
        State.FAILED if seen.errors else State.DEGRADED,
        "tradebot events" if seen.counts else "tradebot doctor",
    )
    return looked(name, look, now, state, ", ".join(found), remedy)
