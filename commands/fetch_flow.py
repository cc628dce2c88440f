"""`tradebot fetch-flow`: ask the flow endpoints that are due, keep the good rows, count the rest."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import typer

from commands.surface import Config, ForceSlot, Json, Report, StateDir, caller, finish, opened, progress_bar
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from tradebot.fetching import Failure, Fetched
    from tradebot.model.flow import Intake
    from tradebot.wiring import App
    from tradebot.world import Progress


@dataclass(frozen=True, slots=True)
class EndpointCount:
    """What one endpoint gave over all symbols; `rejected` counts bad rows by reason."""

    endpoint: str
    calls: int
    received: int
    kept: int
    foreign: int
    duplicates: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class FlowFetched:
    """One pass of fetching; `new` counts facts that were not stored before."""

    at: datetime
    session: date
    calls: int
    not_due: int
    new: int
    endpoints: tuple[EndpointCount, ...]
    failures: tuple["Failure", ...]
    given_up: bool
    quota_used_today: int | None
    quota_daily_limit: int | None


def run(app: "App", *, by: str, force_slot: bool = False, progress: "Progress | None" = None) -> Report:
    """Fetch what is due in this slot; exit 5 where nothing at all could be fetched."""
    from commands.passes import begin, refused_report
    from jobs.claims import Refused
    from tradebot.cycle import fetch_flow
    from tradebot.model.record import Job

    with app.pass_lock("fetch-flow"):
        call, clock = begin(app, Job.FETCH_FLOW, by, force=force_slot)
        if isinstance(call, Refused):
            return refused_report(app, "fetch-flow", call)
        fetched = fetch_flow(app.world(progress=progress), clock, only_due=not force_slot)
        if not fetched.skipped:
            # A session's first fetch asks for everything: the moment to forget what is past keeping.
            app.facts.prune(clock.now)
    data = _data(fetched)
    nothing = bool(fetched.failures) and not fetched.intakes
    code = ExitCode.UNAVAILABLE if nothing else ExitCode.DONE
    return Report("fetch-flow", data, lambda console: _render(console, data), code, app.mode, app.account_tail)


def _data(fetched: "Fetched") -> FlowFetched:
    quota = fetched.quota
    return FlowFetched(
        at=fetched.at,
        session=fetched.session,
        calls=fetched.calls,
        not_due=fetched.skipped,
        new=fetched.new,
        endpoints=tuple(_count(fetched.intakes)),
        failures=fetched.failures,
        given_up=fetched.given_up,
        quota_used_today=quota.used_today if quota else None,
        quota_daily_limit=quota.daily_limit if quota else None,
    )


def _count(intakes: "Iterable[Intake]") -> "Iterable[EndpointCount]":
    from collections import Counter, defaultdict

    by_endpoint: dict[str, list[Intake]] = defaultdict(list)
    for intake in intakes:
        by_endpoint[intake.endpoint.value].append(intake)
    for endpoint, answers in by_endpoint.items():
        rejected = Counter(row.reason for answer in answers for row in answer.rejected)
        yield EndpointCount(
            endpoint,
            calls=len(answers),
            received=sum(answer.received for answer in answers),
            kept=sum(len(answer.facts) for answer in answers),
            foreign=sum(answer.foreign for answer in answers),
            duplicates=sum(answer.duplicates for answer in answers),
            rejected=dict(rejected),
        )


def _render(console: "Console", data: FlowFetched) -> None:
    from rich.table import Table

    console.print(
        f"Flow of session {data.session}, asked at {data.at:%H:%M:%S} UTC: {data.calls} calls, {data.new} new facts"
    )
    if data.not_due:
        console.print(f"  {data.not_due} calls were not due yet")
    table = Table(box=None, pad_edge=False)
    for name in ("endpoint", "calls", "rows", "kept", "foreign", "duplicates", "bad rows"):
        table.add_column(name, justify="left" if name in ("endpoint", "bad rows") else "right")
    for row in data.endpoints:
        bad = ", ".join(f"{count} {reason}" for reason, count in sorted(row.rejected.items()))
        counts = (row.calls, row.received, row.kept, row.foreign, row.duplicates)
        table.add_row(row.endpoint, *map(str, counts), bad)
    if data.endpoints:
        console.print(table)
    for failure in data.failures:
        console.print(f"  [red]failed[/red] {failure.endpoint} {failure.symbol or ''}: {failure.message}", markup=True)
    if data.given_up:
        console.print("  The source seems to be down; the rest is left for the next slot.")
    if data.quota_daily_limit is not None:
        console.print(f"Quota: {data.quota_used_today} of {data.quota_daily_limit} calls used today")


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("fetch-flow", epilog="Example: tradebot fetch-flow --json")
    def fetch_flow(
        force_slot: ForceSlot = False,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Ask the flow endpoints that are due, keep the good rows, count the rest."""
        with opened(state_dir, config) as bot, progress_bar("fetching flow") as progress:
            report = run(bot, by=caller(), force_slot=force_slot, progress=progress)
        finish(report, as_json)
