"""The pages about the bot itself: how it is, what it holds, what runs when, what happened, how it is set."""

from collections.abc import Iterator
from urllib.parse import quote

from markupsafe import Markup
from rich.console import Console

from commands import approvals, events, orders, positions
from commands.approvals import ApprovalsData
from commands.audit import verb as audit
from commands.audit.report import show_findings
from commands.config import diff
from commands.config import verb as config
from commands.events import Events
from commands.health import verb as health
from commands.schedule import check
from commands.schedule import verb as schedule
from commands.shared.surface import Report, identity
from commands.status.report import sections, status_of
from commands.web.chart_parts import equity_part
from commands.web.pages import CSRF, Field, Page, Part, Query, number_in
from commands.why_no_orders.others import run_session
from tradebot.app.wiring import App
from tradebot.model.event import Severity
from tradebot.model.values import replace

NEXT, DUE = 6, 30
"""How many moments of the timetable the first page shows, and the page of the timetable."""
LAST_EVENTS, MOST_EVENTS, SEARCHED = 200, 2_000, 100_000
OVERVIEW = ("health", "may", "bot", "today", "equity", "passes", "unresolved")
"""The parts of `status` on the first page; the others have pages of their own."""
ROWS = 100
"""How many positions a page shows at once."""
ANY = "any"


def _status(app: App) -> Report:
    data, whose = status_of(app), identity(app)

    def show(console: Console, _: object) -> None:
        parts = sections(data, whose)
        for name in OVERVIEW:
            parts[name](console)

    return Report("status", data, show, whose=whose)


def _needed(app: App) -> Report:
    """Return what there is to fix, the most urgent first, as `audit` says it from the bot's own records."""
    return replace(_audit(app), render=show_findings)


def _audit(app: App) -> Report:
    return audit.run(app, offline=True)


def _overview(_: Query) -> list[Part]:
    return [
        Part("What needs a person", _needed),
        Part("Entries that wait for a yes", approvals.run, act=_answers),
        Part("How the bot is", _status),
        equity_part(),
        Part("What runs next", lambda app: schedule.run(app, NEXT, None)),
        Part("What became of today's candidates", lambda app: run_session(app, None, None, None, None), wide=True),
    ]


def _answers(report: Report) -> Iterator[Markup]:
    """Yield a form for each entry that waits: what a person says yes to stands beside the button."""
    data: ApprovalsData = report.data
    for row in data.approvals:
        if row.state == "waiting":
            what = f"{row.side} {row.quantity:,f} {row.symbol} at {row.price}, {row.worth_usd:,.2f} USD"
            yield Markup(
                '<form class="act" method="post" action="/act"><input type="hidden" name="csrf" value="{}">'
                '<input type="hidden" name="request" value="{}"><span>{}: {}</span>'
                '<button name="do" value="approve">Approve</button>'
                '<button name="do" value="reject">Reject</button></form>'
            ).format(CSRF, row.id, row.id, what)


def _positions(query: Query) -> list[Part]:
    first = number_in(query, "from_row", 0)

    def some(app: App) -> Report:
        report = positions.run(app)
        return replace(report, data=replace(report.data, positions=report.data.positions[first : first + ROWS]))

    def links(app: App) -> Markup:
        data = positions.run(app).data
        names = sorted({row.symbol for row in data.positions})
        return _symbols(names[first : first + ROWS]) + _more(len(data.positions), first, "/positions")

    return [
        Part("Positions", some, wide=True),
        Part("Working orders", lambda app: orders.run(app, every=False, last=ROWS), wide=True),
        Part("Symbols held", links, wide=True),
    ]


def _symbols(names: list[str]) -> Markup:
    each = Markup(" ").join(Markup('<a href="/symbol/{}">{}</a>').format(quote(name, safe=""), name) for name in names)
    return Markup('<p class="links">{}</p>').format(each) if names else Markup("<p>None.</p>")


def _more(count: int, first: int, path: str) -> Markup:
    if count <= ROWS:
        return Markup("")
    places = range(0, count, ROWS)
    return Markup('<p class="links">Rows: {}</p>').format(
        Markup(" ").join(
            Markup('<a href="{}?from_row={}"{}>{}–{}</a>').format(
                path, at, Markup(' aria-current="true"') if at == first else "", at + 1, min(at + ROWS, count)
            )
            for at in places
        )
    )


def _health(_: Query) -> list[Part]:
    return [Part("Parts", health.run, wide=True), Part("Audit", _audit, wide=True)]


def _schedule(_: Query) -> list[Part]:
    return [
        Part("What is due", lambda app: schedule.run(app, DUE, None)),
        Part("Whether the timetable works", lambda app: check.run(app, schedule.now(app))),
    ]


def _events(query: Query) -> list[Part]:
    last = min(number_in(query, "last", LAST_EVENTS), MOST_EVENTS)
    severity, text = query.get("severity", ANY), query.get("text", "").lower()

    def chosen(app: App) -> Report:
        searches = severity != ANY or bool(text)
        report = events.run(app, SEARCHED if searches else last, refusals=query.get("refusals") == "yes")
        data: Events = report.data
        kept = [
            each
            for each in data.events
            if severity in (ANY, each.severity.value)
            and text in f"{each.subsystem} {each.event_type} {each.symbol or ''} {each.details}".lower()
        ]
        return replace(report, data=replace(data, events=tuple(kept[-last:])))

    return [Part("Events", chosen, wide=True)]


def _settings(query: Query) -> list[Part]:
    name = query.get("name") or None
    return [
        Part("What differs from what was accepted", lambda app: diff.run(str(app.folder.path), None), wide=True),
        Part("In force", lambda app: config.show(str(app.folder.path), None, name, origin=True), wide=True),
    ]


SEVERITIES = (ANY, *(each.value for each in Severity))
PAGES = (
    Page("overview", "/", "Overview", _overview),
    Page("positions", "/positions", "Positions", _positions, hidden=("from_row",)),
    Page("schedule", "/schedule", "Schedule", _schedule),
    Page("health", "/health", "Health", _health),
    Page(
        "events",
        "/events",
        "Events",
        _events,
        (
            Field("severity", "Severity", SEVERITIES),
            Field("text", "With"),
            Field("last", "Last", "number"),
            Field("refusals", "Refusals of gates", ("no", "yes")),
        ),
    ),
    Page("settings", "/settings", "Settings", _settings, (Field("name", "Name or section"),)),
)
