"""Plan from the configuration how flow is fetched, before the first call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tradebot.adapters.wire.allowed_hosts import is_loopback
from tradebot.app.news import is_news_apart
from tradebot.model.flow import FLOW_ALERTS, NEWS, Allowance
from tradebot.model.record import Job
from tradebot.model.sentences import span
from tradebot.model.trading import Mode
from tradebot.signals.kinds import in_order, kind_of
from tradebot.timetable.fetch_plan import FetchPlan, fetching_problems, needs_of
from tradebot.timetable.job_times import whole_day

if TYPE_CHECKING:
    from tradebot.app.settings_schema import Sections
    from tradebot.model.fact_kind import AnyKind
    from tradebot.ports.world import Rules


def allowance_of(settings: Sections) -> Allowance | None:
    """Return the flow source's call limits; None for a source on this machine, which has no limits."""
    on_this_machine = settings.mode is Mode.SANDBOX or is_loopback(settings.unusual_whales.url or "")
    return None if on_this_machine else configured_allowance(settings)


def configured_allowance(settings: Sections) -> Allowance:
    """Return the flow source's configured call limits."""
    source = settings.unusual_whales
    return Allowance(source.calls_per_minute, source.daily_calls, float(source.reserve_fraction))


def flow_problems(settings: Sections, allowance: Allowance | None) -> Iterator[str]:
    """Yield each reason why the flow strategy's alerts can't be fetched in time, even if all other kinds of facts
    wait.
    """
    flow = settings.strategies.flow
    if Job.FETCH_FLOW not in settings.timetable or flow is None:
        return
    alerts = {kind_of(FLOW_ALERTS): flow.universe or settings.universe}
    needs = tuple(needs_of(alerts, settings.unusual_whales.poll_s, settings.tightest_limits.max_flow_age_s))
    yield from fetching_problems(needs, settings.timetable[Job.FETCH_FLOW], whole_day(settings.day), allowance)


def slowed_kinds(settings: Sections, rules: Rules) -> Iterator[str]:
    """Yield a sentence for each kind of flow fact that can't be fetched as often as configured."""
    from tradebot.desk.fetching import keys_of

    flow, allowance = settings.strategies.flow, allowance_of(settings)
    if flow is None or allowance is None or Job.FETCH_FLOW not in settings.timetable:
        return
    universe = flow.universe or settings.universe
    needed = {kind: keys_of(kind, universe, rules) for kind in in_order(flow.kinds(), rules.poll_s)}
    for line in plan_of(settings, needed, allowance).differences:
        name, usual = line.need.name, span(line.need.interval_s)
        if line.interval_s is None:
            yield f"{name} isn't fetched at all, because the flow source's limits leave no calls for it"
        elif line.interval_s > line.need.interval_s:
            every = span(line.interval_s)
            yield f"{name} is fetched every {every} instead of every {usual}, to fit the flow source's limits"
        else:
            yield f"{name} gets {span(line.oldest_s or 0)} old, but its age has to stay below {line.need.max_age_s} s"


def plan_of(settings: Sections, needed: Mapping[AnyKind, Sequence[str]], allowance: Allowance | None) -> FetchPlan:
    """Plan how the flow source's facts are fetched in a full session: the kinds that are needed, and for which
    symbols.
    """
    of_flow = {kind: keys for kind, keys in needed.items() if not (is_news_apart(settings) and kind.name == NEWS)}
    needs = needs_of(of_flow, settings.unusual_whales.poll_s, settings.tightest_limits.max_flow_age_s)
    return FetchPlan.of(needs, settings.timetable[Job.FETCH_FLOW], whole_day(settings.day), allowance)
