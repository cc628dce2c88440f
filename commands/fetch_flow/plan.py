"""`tradebot fetch-flow --plan`: what a session of fetching takes and what has to give way, without a call."""

from datetime import UTC, datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.number_format import duration
from commands.shared.tables import Table, number, sentence
from commands.shared.verb_options import Report, identity
from tradebot.adapters.flow.rate_quota import KeptQuota, next_quota_day
from tradebot.adapters.state import state_folder
from tradebot.app.flow_plan import allowance_of, configured_allowance, flow_problems, plan_of
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.record import Job
from tradebot.model.text import pluralize
from tradebot.model.trading import Mode
from tradebot.timetable.fetch_plan import FetchDecision, FetchPlan, FetchPlanEntry

ONCE_S = 86_400
"""From this interval on, in seconds, a kind of facts is fetched once a session."""


LATEST = 100
"""How many of the last fetches are looked through for one that was told a count."""


class PlannedKind(Struct, frozen=True):
    """What is planned for one kind of facts: `calls` for each fetch, and how many that makes in a session.

    `configured_s` is its interval as configured and `every_s` the planned one, None if it is left out. `oldest_s` is
    how old a reply gets before it is renewed, None if that doesn't happen, and `max_age_s` its freshness limit.
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
    """The plan of a full session; `symbols` is how many alerts are fetched for.

    The timetable makes at most `planned_per_minute` calls a minute and `planned_per_day` a day. `wanted_calls` is what
    a session would take as configured. `used_today` is None if nobody counted yet. `limited` is False if the source in
    use has no limit; the plan is then what would happen with one. `problems` say why alerts can't stay fresh.
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


def run(app: "App") -> Report:
    """Plan a session; exit 10 if alerts can't stay fresh."""
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
        kinds=tuple(map(_kind, plan.lines)),
        problems=tuple(flow_problems(app.settings, allowance)),
    )
    code = ExitCode.DONE if data.fits else ExitCode.FINDINGS
    return Report("fetch-flow-plan", data, lambda out, _: _render(out, data, plan), code, identity(app))


def _used_today(app: "App") -> int | None:
    """Return how many calls were made on this allowance day, without asking the source; None if nobody counted them.

    Without a count of our own, the one that the source told the last fetch is taken.
    """
    now = app.now() if app.mode is Mode.SANDBOX else datetime.now(UTC)
    file = app.folder.path / state_folder.FLOW_QUOTA
    counted = KeptQuota(file, configured_allowance(app.settings), lambda: now).used_on_day(now)
    if counted is not None or app.recorded is None:
        return counted
    # A fetch that found nothing due asked nothing, and so was told no count.
    for fetch in reversed(app.recorded.cycles(job=Job.FETCH_FLOW, last=LATEST)):
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


def _render(console: "Console", data: PlannedFetches, plan: "FetchPlan") -> None:
    if not data.kinds:
        console.print("No strategy in use reads options flow.")
        return
    symbols, kinds = pluralize(data.symbols, "symbol"), pluralize(len(data.kinds), "kind")
    console.print(f"Plan of a session for {symbols} and {kinds} of facts; the timetable fetches {plan.times}")
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
    for line in _totals(data):
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
        "less often": f"[yellow]less often[/yellow] than every {usual}, to fit",
        "left out": f"[red]left out[/red] instead of every {usual}, to fit",
        "gets too old": "[red]gets too old[/red]",
    }
    return words[row.outcome.value]


def _totals(data: PlannedFetches) -> tuple[str, ...]:
    per_day = f"{data.planned_per_day:,} of {data.daily_calls:,} a day"
    spared = data.wanted_calls - data.calls
    less = f"; as configured they would be {data.wanted_calls:,}" if spared > 0 else ""
    used = "nothing counted yet" if data.used_today is None else pluralize(data.used_today, "call")
    unlimited = ("This source has no limit, so everything is fetched as configured; the plan shows a source with one.",)
    return (
        f"Calls a session: {data.calls:,}{less}. The timetable may make {per_day}.",
        f"First fetch: {pluralize(data.first_calls, 'call')} in {data.first_s:,.0f} s, "
        f"at {data.planned_per_minute:,.0f} of {data.calls_per_minute:,} calls a minute.",
        f"Used today: {used}. The day's count restarts at 20:00 New York time.",
        *(() if data.limited else unlimited),
    )
