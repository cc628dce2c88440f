"""Run `tradebot fetch-flow`: fetch flow from the endpoints that are due, keep the valid rows, and count the others."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import typer
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.ask_strategies import under_pass_lock
from commands.shared.calendar import require
from commands.shared.light_helpers import clean
from commands.shared.number_format import duration
from commands.shared.pass_reports import begin, both_clocks
from commands.shared.skipped_passes import refused_report
from commands.shared.tables import Table, number, sentence
from commands.shared.times import when
from commands.shared.universe import in_universe
from commands.shared.verb_options import (
    Report,
    identity,
)
from jobs.slot_claims import SlotRefused, claim_by_hand
from tradebot.adapters.flow.rate_quota import KeptQuota, next_quota_day
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_locks import FETCH_LOCK, hold
from tradebot.app.flow_plan import allowance_of, configured_allowance, flow_problems, plan_of
from tradebot.app.wiring import App
from tradebot.desk.fetching import Failure, FetchResult, WantedCalls, fetch_flow, headlines_plan
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.fact_kind import CheckedReply, Drift
from tradebot.model.record import Job
from tradebot.model.sentences import closest_names, pluralize
from tradebot.model.trading import Mode
from tradebot.signals.contracts import drifts
from tradebot.signals.kinds import kind_names, kind_of
from tradebot.timetable.fetch_plan import FetchDecision, FetchPlan, FetchPlanEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tradebot.model.bar import ClockReading
    from tradebot.model.flow import Intake
    from tradebot.ports.world import Call, Progress


class EndpointCount(Struct, frozen=True):
    """The replies of one endpoint for all symbols; `rejected` counts bad rows by reason.

    `newest` is the time of the newest row stored, or its trading date if rows cover a whole day and have no exact time.
    `differences` say how the rows differ from the source's documentation, the worst first.
    """

    endpoint: str
    calls: int
    received: int
    kept: int
    foreign: int
    duplicates: int
    rejected: dict[str, int]
    newest: datetime | date | None
    newest_age_s: float | None
    differences: "tuple[Drift, ...]" = ()


class FlowFetched(Struct, frozen=True):
    """One fetch pass; `new` counts facts that were not stored before.

    `later` counts the calls that were due but were postponed to the next slot. `left_out` are the kinds of facts that
    aren't fetched at all, because the source's limits leave no calls for them.
    """

    at: datetime
    session: date
    calls: int
    not_due: int
    later: int
    left_out: tuple[str, ...]
    new: int
    endpoints: tuple[EndpointCount, ...]
    failures: tuple["Failure", ...]
    given_up: bool
    quota_used_today: int | None
    quota_daily_limit: int | None
    quota_left_this_minute: int | None


def run(
    app: "App",
    *,
    by: str,
    force_slot: bool = False,
    progress: "Progress | None" = None,
    endpoints: "Sequence[str]" = (),
    symbols: "Sequence[str]" = (),
) -> Report:
    """Fetch the kinds of facts due in this slot; exit 5 if fetches failed and none succeeded.

    Symbols or endpoints named explicitly are fetched now, due or not, and don't use up the timetable's slot.
    """
    names = frozenset(_endpoint(app, name) for name in endpoints)
    requests = WantedCalls(names, frozenset(in_universe(app, symbol) for symbol in symbols))
    named = bool(endpoints or symbols)
    # One fetcher at a time: its lock is taken before the pass lock, and waits and exits as that one.
    with hold(app.folder.path, "fetch-flow", name=FETCH_LOCK):
        # The pass lock is only held for the claim: exits continue while the source is queried, however slow it is.
        call, clocks = under_pass_lock(app, "fetch-flow", lambda: _call(app, by, named, force_slot))
        if isinstance(call, SlotRefused):
            return refused_report(app, "fetch-flow", call)
        world = app.world(progress=progress, proposing=False, with_flow=True)
        fetched = fetch_flow(world, call, clocks, only_due=not (named or force_slot), wanted=requests)
    data = _data(fetched)
    nothing = bool(fetched.failures) and not fetched.intakes
    code = ExitCode.UNAVAILABLE if nothing else ExitCode.DONE
    return Report("fetch-flow", data, _render, code, identity(app))


def _call(app: "App", by: str, named: bool, force_slot: bool) -> "tuple[Call | SlotRefused, ClockReading]":
    if not named:
        return begin(app, Job.FETCH_FLOW, by, force=force_slot)
    clocks = both_clocks(app, Job.FETCH_FLOW, dry_run=True)
    require(clocks.clock, clocks.second, app.settings)
    app.ensure_calendar(clocks.now)
    return claim_by_hand(app.ledger, Job.FETCH_FLOW, "named", clocks.now, app.day, by), clocks


def _endpoint(app: "App", text: str) -> str:
    name, names = text.strip().lower().replace("-", "_"), [kind.name for kind in app.needed_facts]
    if name not in names and name in kind_names():
        raise OperatorError(f"no strategy in use needs {name}", "set a weight for a component that reads it")
    if name not in names:
        near = closest_names(name, names)
        meant = f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
        raise OperatorError(f"there is no endpoint {name!r}", meant)
    return name


def _data(fetched: "FetchResult") -> FlowFetched:
    quota = fetched.quota
    return FlowFetched(
        at=fetched.at,
        session=fetched.session,
        calls=fetched.calls,
        not_due=fetched.skipped - fetched.later,
        later=fetched.later,
        left_out=fetched.left_out,
        new=fetched.new,
        endpoints=tuple(_count(fetched.intakes)),
        failures=fetched.failures,
        given_up=fetched.given_up,
        quota_used_today=quota.used_today if quota else None,
        quota_daily_limit=quota.daily_limit if quota else None,
        quota_left_this_minute=quota.left_this_minute if quota else None,
    )


def _count(intakes: "Iterable[Intake]") -> "Iterable[EndpointCount]":
    by_endpoint: dict[str, list[Intake]] = defaultdict(list)
    for intake in intakes:
        by_endpoint[intake.endpoint].append(intake)
    for endpoint, answers in by_endpoint.items():
        rejected = Counter(row.reason for answer in answers for row in answer.rejected)
        newest = _newest(endpoint, answers)
        yield EndpointCount(
            endpoint,
            calls=len(answers),
            received=sum(answer.received for answer in answers),
            kept=sum(len(answer.facts) for answer in answers),
            foreign=sum(answer.foreign for answer in answers),
            duplicates=sum(answer.duplicates for answer in answers),
            rejected=dict(rejected),
            newest=newest,
            newest_age_s=(max(answer.at for answer in answers) - newest).total_seconds()
            if isinstance(newest, datetime)
            else None,
            differences=drifts(
                CheckedReply(answer.endpoint, answer.symbol, answer.at, answer.received, answer.findings)
                for answer in answers
            ),
        )


def _newest(endpoint: str, answers: "Iterable[Intake]") -> datetime | date | None:
    moment = kind_of(endpoint).moment
    return max((moment(fact) for answer in answers for fact in answer.facts), default=None)


def _render(console: "Console", data: FlowFetched) -> None:
    calls, facts = pluralize(data.calls, "call"), pluralize(data.new, "new fact")
    console.print(f"Flow of session {data.session} at {when(data.at)}: {calls}, {facts}")
    if not data.calls and not data.not_due:
        console.print("  No strategy in use reads options flow.")
    if data.not_due:
        console.print(f"  {pluralize(data.not_due, 'call')} not due yet")
    if data.later:
        console.print(f"  {pluralize(data.later, 'call')} left for the next slot: the source's rate limit is reached")
    if data.left_out:
        console.print(f"  Not fetched, to stay within the source's limits: {', '.join(data.left_out)}")
        console.print("  Next: tradebot fetch-flow --plan")
    numbers = (number(name) for name in ("calls", "rows", "kept", "foreign", "duplicates", "newest"))
    table = Table("endpoint", *numbers, sentence("bad rows", "bad rows:"))
    for row in data.endpoints:
        bad = ", ".join(f"{count:,} {reason}" for reason, count in sorted(row.rejected.items()))
        counts = (row.calls, row.received, row.kept, row.foreign, row.duplicates)
        table.row(row.endpoint, *(f"{count:,}" for count in counts), _age(row), bad)
    if data.endpoints:
        console.print(table)
    for difference in (each for row in data.endpoints for each in row.differences):
        example = escape(clean(difference.example))
        console.print(f"  [yellow]differs[/yellow] {escape(str(difference))}, such as {example}")
    for failure in data.failures:
        console.print(f"  [red]failed[/red] {failure.endpoint} {failure.symbol or ''}: {escape(failure.message)}")
    if data.given_up:
        console.print("  The source seems to be down; the next slot makes the remaining calls.")
    if data.quota_daily_limit is not None:
        minute = "" if data.quota_left_this_minute is None else f", {data.quota_left_this_minute:,} left this minute"
        console.print(f"Quota: {data.quota_used_today or 0:,} of {data.quota_daily_limit:,} calls used today{minute}")


def _age(row: EndpointCount) -> str:
    if row.newest is None:
        return "no row"
    return f"of {row.newest:%m-%d}" if row.newest_age_s is None else f"{row.newest_age_s:,.0f} s old"


def check_alone(stream: bool, lasting: str | None, plan: bool, *others: object) -> None:
    if lasting is not None and not stream:
        raise typer.BadParameter("--for needs --stream")
    if stream and (plan or any(others)):
        raise typer.BadParameter("--stream can be combined only with --for")
    if plan and any(others):
        raise typer.BadParameter("--plan is about a whole session, so it takes no other option")


ONCE_S = 86_400
"""From this interval on, in seconds, a kind of facts is fetched once a session."""


LATEST = 100
"""How many of the last fetches are searched for one with a known count."""


class PlannedKind(Struct, frozen=True):
    """The plan for one kind of facts: `calls` for each fetch, and the total in a session.

    `configured_s` is its interval as configured and `every_s` the planned one, None if it is left out. `oldest_s` is
    how old a reply gets before it is fetched again, None if it isn't, and `max_age_s` is its freshness limit.
    """

    kind: str
    asked_by: str
    core: bool
    calls: int
    configured_s: int
    every_s: int | None
    calls_a_session: int
    oldest_s: float | None
    max_age_s: int | None
    phase: str
    outcome: "FetchDecision"


class PlannedFetches(Struct, frozen=True):
    """The planned fetches of a full session; `symbols` is the number of symbols with alerts.

    The timetable makes at most `planned_per_minute` calls a minute and `planned_per_day` a day. `wanted_calls` is how
    many calls a session would take if everything were fetched as configured. `used_today` is None if unknown. `limited`
    is False if the source in use has no limit; the plan then assumes one. `problems` say why alerts can't stay fresh.
    """

    symbols: int
    limited: bool
    calls_per_minute: int
    daily_calls: int
    planned_per_minute: float
    planned_per_day: int
    calls: int
    wanted_calls: int
    first_calls: int
    first_s: float
    used_today: int | None
    fits: bool
    kinds: tuple[PlannedKind, ...]
    problems: tuple[str, ...]


def run_plan(app: "App") -> Report:
    """Plan a session's fetches; exit 10 if alerts can't stay fresh."""
    allowance = configured_allowance(app.settings)
    plan = plan_of(app.settings, app.needed_facts, allowance)
    data = PlannedFetches(
        symbols=plan.alerts.need.calls if plan.alerts else 0,
        limited=allowance_of(app.settings) is not None,
        calls_per_minute=allowance.per_minute,
        daily_calls=allowance.per_day,
        planned_per_minute=allowance.rate,
        planned_per_day=allowance.planned_a_day,
        calls=plan.calls,
        wanted_calls=plan.wanted_calls,
        first_calls=plan.first_calls,
        first_s=plan.first_s,
        used_today=_used_today(app),
        fits=plan.fits,
        kinds=tuple(map(_kind, (*plan.lines, *_headlines(app)))),
        problems=tuple(flow_problems(app.settings, allowance)),
    )
    code = ExitCode.DONE if data.fits else ExitCode.FINDINGS
    return Report("fetch-flow-plan", data, lambda out, _: _render_plan(out, data, plan), code, identity(app))


def _headlines(app: "App") -> "Sequence[FetchPlanEntry]":
    """Return the plan for headlines from a source other than the flow source, which has separate limits."""
    apart = any(map(app.rules.is_apart, app.needed_facts)) and app.rules.fetch_times
    return headlines_plan(app.rules, app.day).lines if apart else ()


def _used_today(app: "App") -> int | None:
    """Return how many calls were made on this allowance day, without asking the source; None if unknown.

    Without a count of our own, use the one that the source reported in the last fetch.
    """
    now = app.now() if app.mode is Mode.SANDBOX else datetime.now(UTC)
    file = app.folder.path / state_folder.FLOW_QUOTA
    counted = KeptQuota(file, configured_allowance(app.settings), lambda: now).used_on_day(now)
    if counted is not None or app.existing_facts is None:
        return counted
    # A fetch with nothing due made no call, and so got no count.
    for fetch in reversed(app.existing_facts.cycles(job=Job.FETCH_FLOW, last=LATEST)):
        if fetch.quota is not None and next_quota_day(fetch.at) == next_quota_day(now):
            return fetch.quota.used_today
    return None


def _kind(line: "FetchPlanEntry") -> PlannedKind:
    need = line.need
    return PlannedKind(
        kind=need.name,
        asked_by=need.scope.value,
        core=need.core,
        calls=need.calls,
        configured_s=need.interval_s,
        every_s=line.interval_s,
        calls_a_session=line.calls,
        oldest_s=line.oldest_s,
        max_age_s=need.max_age_s,
        phase=need.phase.value,
        outcome=line.outcome,
    )


def _render_plan(console: "Console", data: PlannedFetches, plan: "FetchPlan") -> None:
    if not data.kinds:
        console.print("No strategy in use reads options flow.")
        return
    symbols, kinds = pluralize(data.symbols, "symbol"), pluralize(len(data.kinds), "kind")
    console.print(f"Fetch plan of a session: {symbols}, {kinds} of facts; fetched {plan.times}")
    table = Table(
        "kind", "by", number("calls"), number("every"), number("a session"), number("oldest"), number("limit"), "when",
        sentence("plan", "plan:"),
    )  # fmt: skip
    for row in data.kinds:
        ages = (_span(age_s) if age_s is not None else "" for age_s in (row.oldest_s, row.max_age_s))
        every = "" if row.every_s is None else _interval(row.every_s)
        name = f"{row.kind} (core)" if row.core else row.kind
        calls = (f"{row.calls:,}", every, f"{row.calls_a_session:,}")
        table.row(name, row.asked_by, *calls, *ages, row.phase, _outcome(row))
    console.print(table)
    for line in _totals(data) if plan.lines else ():
        console.print(line)
    for problem in data.problems:
        console.print(f"[red]It doesn't fit[/red]: {escape(problem)}")


def _span(seconds: float) -> str:
    days, hours = divmod(seconds, ONCE_S)
    return f"{days:.0f}d" if days and not hours else duration(seconds)


def _interval(seconds: float) -> str:
    return "once" if seconds >= ONCE_S else _span(seconds)


def _outcome(row: PlannedKind) -> str:
    usual = _span(row.configured_s)
    words = {
        "as configured": "as configured",
        "less often": f"[yellow]less often[/yellow] than every {usual}, to stay within the quota",
        "left out": f"[red]left out[/red], normally every {usual}, to stay within the quota",
        "gets too old": "[red]gets too old[/red]",
    }
    return words[row.outcome.value]


def _totals(data: PlannedFetches) -> tuple[str, ...]:
    per_day = f"{data.planned_per_day:,} of {data.daily_calls:,} calls a day"
    spared = data.wanted_calls - data.calls
    less = f" instead of the {data.wanted_calls:,} configured" if spared > 0 else ""
    used = "nothing counted yet" if data.used_today is None else pluralize(data.used_today, "call")
    unlimited = ("This plan is for a source with limits. Yours has none, so everything is fetched as configured.",)
    return (
        f"Calls a session: {data.calls:,}{less}. The timetable makes at most {per_day}.",
        f"First fetch: {pluralize(data.first_calls, 'call')} in {data.first_s:,.0f} s, "
        f"at {data.planned_per_minute:,.0f} of {data.calls_per_minute:,} calls a minute.",
        f"Used today: {used}. The day's count restarts at 20:00 New York time.",
        *(() if data.limited else unlimited),
    )
