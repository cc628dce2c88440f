"""Gather the figures that monitoring asks for, from the bot's own records."""

from datetime import UTC, datetime, timedelta

from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.judging.evidence import Past
from tradebot.model.event import HEALINGS, Severity
from tradebot.model.record import Job
from tradebot.signals.regime import market_state, regime
from tradebot.timetable.sessions import last_session
from tradebot.views.figures import BAD, Figures, fetch_latency_ms, healings, last_error, success_rate

DAY = timedelta(days=1)


def figures_of(app: "App", past: Past) -> Figures:
    """Return the figures of the last session and day; TradebotError if the books or the facts can't be read."""
    facts, ledger, clock, at, cycles = app.recorded, app.ledger_view, datetime.now(UTC), past.now, past.cycles
    intents, mark = ledger.recent_intents((at - DAY).date()), ledger.last_reconcile()
    _, events = worth_seeing(app.folder.path / EVENTS, sorted({(at - DAY, at), (clock - DAY, clock)}), HEALINGS)
    last = max((cycle.at for cycle in cycles), default=None)
    fetched = max((cycle.at for cycle in cycles if cycle.job is Job.FETCH_FLOW), default=None)
    answers = facts.intakes(fetched) if facts is not None and fetched else ()
    return Figures(
        total_cycles=len(cycles),
        last_cycle_ago_seconds=max((at - last).total_seconds(), 0.0) if last else None,
        order_success_rate=success_rate(intents),
        data_fetch_latency_ms=fetch_latency_ms(cycles, answers),
        position_mismatches=mark.findings if mark else None,
        errors=sum(event.severity in BAD for event in events),
        warnings=sum(event.severity is Severity.WARN for event in events),
        healings=healings(events),
        last_error=last_error(events),
        regime=_regime(app, at),
    )


def _regime(app: "App", now: datetime) -> str | None:
    """Return the market's regime by the facts that are stored; None unless all that it is read from is known."""
    if app.recorded is None:
        return None
    state = market_state(app.recorded.market(last_session(app.ledger_view, now), now), now)
    return regime(state) if state else None
