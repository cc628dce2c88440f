"""Check that flow can be fetched as often as the configuration asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tradebot.adapters.wire.hosts import is_loopback
from tradebot.model.flow import FLOW_ALERTS, REQUESTS_PER_MINUTE
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.signals.kinds import in_order
from tradebot.timetable.fetching import FetchPlan, fetching_problems

if TYPE_CHECKING:
    from tradebot.app.sections import Sections


def flow_problems(settings: Sections) -> Iterator[str]:
    """Yield why the flow strategy's facts can't be fetched in time; a source on this machine doesn't limit our calls.

    What plug-ins need isn't known before they are asked; `doctor` counts their calls too.
    """
    source, flow = settings.unusual_whales, settings.strategies.flow
    if Job.FETCH_FLOW not in settings.timetable or flow is None:
        return
    limited = settings.mode is not Mode.SANDBOX and not is_loopback(source.url or "")
    # Without a limit on calls, other kinds don't delay the alerts.
    kinds = in_order(flow.kinds() if limited else {FLOW_ALERTS}, source.poll_s)
    needed = dict.fromkeys(kinds, flow.universe or settings.universe)
    per_minute = REQUESTS_PER_MINUTE if limited else None
    plan = FetchPlan.of(needed, source.poll_s, settings.timetable[Job.FETCH_FLOW], per_minute)
    yield from fetching_problems(plan, settings.tightest_limits.max_flow_age_s, source.daily_calls)
