"""The pages about the bot itself: how it is, what it holds, what runs when, what happened to it."""

from rich.console import Console

from commands import approvals, events, orders, positions
from commands.health import verb as health
from commands.schedule import verb as schedule
from commands.shared.surface import Report, identity
from commands.status.report import sections, status_of
from commands.web.pages import Page, Part, Query
from commands.why_no_orders.others import run_session
from tradebot.app.wiring import App

NEXT = 6
"""How many moments of the timetable the first page shows."""
LAST_EVENTS = 200
OVERVIEW = ("health", "may", "bot", "today", "equity", "passes", "unresolved")
"""The parts of `status` on the first page; the others have pages of their own."""


def _status(app: App) -> Report:
    data, whose = status_of(app), identity(app)

    def show(console: Console, _: object) -> None:
        parts = sections(data, whose)
        for name in OVERVIEW:
            parts[name](console)

    return Report("status", data, show, whose=whose)


def _overview(_: Query) -> list[Part]:
    return [
        Part("How the bot is", _status),
        Part("What needs a person", approvals.run),
        Part("What became of today's candidates", lambda app: run_session(app, None, None, None, None)),
        Part("Next", lambda app: schedule.run(app, NEXT, None)),
    ]


def _positions(_: Query) -> list[Part]:
    return [
        Part("Positions", positions.run, wide=True),
        Part("Working orders", lambda app: orders.run(app, every=False, last=100), wide=True),
    ]


PAGES = (
    Page("overview", "/", "Overview", _overview),
    Page("positions", "/positions", "Positions", _positions),
    Page("health", "/health", "Health", lambda query: [Part("Health", health.run, wide=True)]),
    Page(
        "events",
        "/events",
        "Events",
        lambda query: [Part("Events", lambda app: events.run(app, LAST_EVENTS), wide=True)],
    ),
)
