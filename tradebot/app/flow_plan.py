"""Plan the fetching of flow as the configuration asks for it, before the first call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tradebot.adapters.wire.hosts import is_loopback
from tradebot.model.flow import FLOW_ALERTS, Allowance
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.signals.kinds import kind_of
from tradebot.timetable.fetching import FetchPlan, fetching_problems, needs_of

if TYPE_CHECKING:
    from tradebot.app.sections import Sections
    from tradebot.model.kind import AnyKind


def allowance_of(settings: Sections) -> Allowance | None:
    """Return what the flow source allows; None for one on this machine, which has no limit."""
    source = settings.unusual_whales
    if settings.mode is Mode.SANDBOX or is_loopback(source.url or ""):
        return None
    return Allowance(source.calls_per_minute, source.daily_calls, float(source.reserve_fraction))


def flow_problems(settings: Sections) -> Iterator[str]:
    """Yield why the flow strategy's alerts can't be fetched in time; any other kind of facts gives way before them."""
    flow = settings.strategies.flow
    if Job.FETCH_FLOW not in settings.timetable or flow is None:
        return
    alerts = {kind_of(FLOW_ALERTS): flow.universe or settings.universe}
    needs = tuple(needs_of(alerts, settings.unusual_whales.poll_s, settings.tightest_limits.max_flow_age_s))
    yield from fetching_problems(needs, settings.timetable[Job.FETCH_FLOW], allowance_of(settings))


def plan_of(settings: Sections, needed: Mapping[AnyKind, Sequence[str]], allowance: Allowance | None) -> FetchPlan:
    """Return the plan of a full session for these kinds of facts, each with what to ask about."""
    needs = needs_of(needed, settings.unusual_whales.poll_s, settings.tightest_limits.max_flow_age_s)
    return FetchPlan.of(needs, settings.timetable[Job.FETCH_FLOW], allowance)
