"""Read the data of the screens of `tradebot top`: the reports of the verbs, drawn by the verbs themselves."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from commands import approvals, events
from commands.approvals import ApprovalsData
from commands.events import EventsShown
from commands.positions import report as positions
from commands.positions.report import Positions
from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import color_state, duration
from commands.shared.span_options import PassSpan
from commands.shared.tables import Screen
from commands.shared.times import for_reader, when
from commands.shared.verb_options import Report, identity, show_traded_by
from commands.status.report import STATE_STYLE, sections, status_of
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.past_passes import run_session
from commands.why_no_orders.report import show_funnel
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.wiring import App
from tradebot.errors import TradebotError
from tradebot.judging.judgment import HealthState, overall
from tradebot.views.status import Status
from tradebot.views.why_no_orders import Why

LAST = 200
"""How many events the log shows."""
FIRST_PARTS, LAST_PARTS = ("serve", "health", "may", "bot", "today", "equity"), ("passes", "unresolved")
"""The sections of `status` on the overview, before and after the pending approvals."""
MAKE_OLD = ("serve", "exits", "broker", "prices", "facts")
"""Parts of the bot without which the figures get no newer, the most telling first."""
WATCHED = (
    state_folder.LEDGER, f"{state_folder.LEDGER}-journal", state_folder.EVENTS, state_folder.APPROVALS,
    state_folder.FACTS, f"{state_folder.FACTS}-wal", halt_switch.ARMED, halt_switch.HALT, "tradebot.yaml",
)  # fmt: skip
"""The files of the state folder that the screens show."""


class Overview(Struct, frozen=True):
    """The bot's status, the outcome of the last session's candidates, and the entries that wait for approval."""

    status: Status
    session: Why
    approvals: ApprovalsData


class Screens(Struct, frozen=True):
    """The data of the four screens, as the verbs `status`, `positions`, `why-no-orders` and `events` report it."""

    overview: Overview
    positions: Positions
    why: Why
    log: EventsShown


class ScreenData(NamedTuple):
    """One screen as it was read `at` a time by this machine's clock.

    `head` describes the bot, and each function of `draws` prints a part. `old` says why the figures are outdated and
    how old they are; it is empty while they are current.
    """

    at: datetime
    head: str
    draws: Sequence[Callable[[Console], None]]
    old: str


class UnreadableError(TradebotError):
    """The state folder can't be read now, for a reason that no verb handles."""


def screens(app: App) -> Screens:
    """Read all four screens; raise OperatorError if any can't be read."""
    overview = Overview(status_of(app), _session(app).data, approvals.run(app).data)
    return Screens(overview, positions.run(app).data, _why(app).data, _log(app).data)


def read(app: App, screen: str) -> ScreenData:
    """Read one screen with separate connections; raise TradebotError if it can't be read."""
    try:
        with closing(app.twin()) as bot:
            show_traded_by(bot)
            status, whose = status_of(bot), identity(bot)
            draws = list(_overview(bot, status, whose)) if screen == OVERVIEW else [_drawing(VERBS[screen](bot))]
    except (OSError, sqlite3.Error) as error:
        raise UnreadableError(f"the state can't be read: {error}", "tradebot doctor") from error
    return ScreenData(datetime.now(UTC), head(status, whose), draws, old(status))


def render_plain(draws: Sequence[Callable[[Console], None]], width: int) -> Text:
    """Return the output of draw functions on a console of this width, in colors."""
    screen = console(width)
    with screen.capture() as capture:
        for draw in draws:
            draw(screen)
    return Text.from_ansi(capture.get().removesuffix("\n"))


def line(markup: str, width: int) -> Text:
    """Return one or more lines of markup, as a verb would print them."""
    return render_plain([lambda screen: screen.print(markup)], width)


def console(width: int) -> Console:
    """Return the console of every verb, with this width and with colors in any environment."""
    return Screen(
        file=StringIO(), width=width, height=LAST, color_system="truecolor", force_terminal=True, highlight=False,
        emoji=False, soft_wrap=False, legacy_windows=False,
    )  # fmt: skip


def version(folder: Path) -> tuple[object, ...]:
    """Return a value that changes as soon as anything is recorded: size and modification time of each file."""
    return tuple(_file_stamp(folder / name) for name in WATCHED)


def _file_stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        stat_result = path.stat()
        return stat_result.st_mtime_ns, stat_result.st_size
    return None


def _why(app: App) -> Report:
    return why_no_orders.run(app, None, PassSpan())


def _log(app: App) -> Report:
    return events.run(app, LAST)


def _session(app: App) -> Report:
    return run_session(app, None, None, None, None)


OVERVIEW = "overview"
VERBS: Mapping[str, Callable[[App], Report]] = {"positions": positions.run, "why": _why, "log": _log}
NAMES = (OVERVIEW, *VERBS)
"""The screens, in the order of their keys."""


def _drawing(report: Report) -> Callable[[Console], None]:
    return lambda console: report.render(console, report.data)


def _overview(app: App, status: Status, whose: Identity) -> Iterator[Callable[[Console], None]]:
    parts, waiting, session = sections(status, whose), approvals.run(app), _session(app)
    yield from (parts[name] for name in FIRST_PARTS)
    if any(row.state == "waiting" for row in waiting.data.approvals):
        yield _drawing(waiting)
    yield from (parts[name] for name in LAST_PARTS)
    answer = session.data.explanation
    if answer.funnel.passes:
        yield lambda console: show_funnel(console, answer.funnel)
    else:
        yield lambda console: console.print(answer.sentence, markup=False)


def head(status: Status, whose: Identity) -> str:
    """Return the bot's identity, whether it may open positions, and its health, as markup."""
    state, color = status.trading_state, STATE_STYLE[status.trading_state]
    return (
        f"[bold]{whose.mode}[/bold], {whose.place}, [{color}]{state}[/], health {color_state(overall(status.health))}"
    )


def old(status: Status) -> str:
    """Return why the figures are outdated, by the most informative failed part, and their age."""
    parts = {judgment.subject: judgment for judgment in status.health}
    failed = next((parts[name] for name in MAKE_OLD if name in parts and parts[name].state is HealthState.FAILED), None)
    if failed is None:
        return ""
    # The clock of the sandbox stands still, but that of what has failed doesn't.
    ages = (each.age_s for each in (failed, parts.get("facts")) if each is not None)
    age_s = next((age_s for age_s in ages if age_s is not None), None)
    age = "" if age_s is None else f", {duration(age_s)} old"
    last = f"the last figures are of {when(status.as_of)}{age}" if status.as_of else "there are no figures yet"
    finding = for_reader(clean(failed.found).rstrip("."))
    return f"{failed.subject} {failed.state}: {finding}; {last}. Next: {with_bot_options(failed.next)}"
