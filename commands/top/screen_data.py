"""Read the data for the screens of `tradebot top`, and for its table of several bots, from the verbs' reports."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from commands import approvals, events
from commands.approvals import ApprovalsData
from commands.events import EventsShown
from commands.positions import report as positions
from commands.positions.report import Positions
from commands.shared.bot_records import waiting_approvals
from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import color_state, duration, gain
from commands.shared.span_options import PassSpan
from commands.shared.tables import Screen, Table, number, sentence
from commands.shared.times import for_reader, when
from commands.shared.verb_options import Report, identity, opened_to_look, show_traded_by
from commands.status.report import STATE_STYLE, sections, status_of
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.past_passes import run_session
from commands.why_no_orders.report import show_funnel
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import HealthState, rank_judgments, worst_state
from tradebot.model.sentences import pluralize
from tradebot.model.trading import TradingState
from tradebot.views.status import Status, exposure
from tradebot.views.why_no_orders import WhyNoOrders

LAST = 200
"""How many events the log shows."""
FIRST_PARTS, LAST_PARTS = ("serve", "health", "may", "bot", "today", "equity"), ("passes", "unresolved")
"""The sections of `status` on the overview, before and after the pending approvals."""
MAKE_OLD = ("serve", "exits", "broker", "prices", "facts")
"""Parts of the bot whose failure makes the shown figures out of date, the most likely cause first."""
WATCHED = (
    state_folder.LEDGER, f"{state_folder.LEDGER}-journal", state_folder.EVENTS, state_folder.APPROVALS,
    state_folder.FACTS, f"{state_folder.FACTS}-wal", halt_switch.ARMED, halt_switch.HALT, "tradebot.yaml",
    state_folder.LEARNED,
)  # fmt: skip
"""The files of the state folder that the screens show."""


class Overview(Struct, frozen=True):
    """The bot's status, the outcome of the last session's candidates, and the entries that wait for approval."""

    status: Status
    session: WhyNoOrders
    approvals: ApprovalsData


class Screens(Struct, frozen=True):
    """The data of the four screens, as the verbs `status`, `positions`, `why-no-orders` and `events` report it."""

    overview: Overview
    positions: Positions
    why: WhyNoOrders
    log: EventsShown


class ScreenData(NamedTuple):
    """One screen, read at the time `at` by this machine's clock.

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


def report(app: App) -> Report:
    """Report the data of all screens; always exit 0."""
    # For people there is the screen itself.
    return Report("top", screens(app), lambda console, data: None, bot_identity=identity(app))


def read(app: App, screen: str) -> ScreenData:
    """Read one screen with separate connections; raise TradebotError if it can't be read."""
    try:
        with closing(app.twin()) as bot:
            show_traded_by(bot)
            status, bot_identity = status_of(bot), identity(bot)
            draws = list(_overview(bot, status, bot_identity)) if screen == OVERVIEW else [_drawing(VERBS[screen](bot))]
    except (OSError, sqlite3.Error) as error:
        raise UnreadableError(f"the state can't be read: {error}", "tradebot doctor") from error
    return ScreenData(datetime.now(UTC), head(status, bot_identity), draws, outdated_because(status))


def render_plain(draws: Sequence[Callable[[Console], None]], width: int) -> Text:
    """Return what these draw functions print on a console of this width, in color."""
    screen = console(width)
    with screen.capture() as capture:
        for draw in draws:
            draw(screen)
    return Text.from_ansi(capture.get().removesuffix("\n"))


def line(markup: str, width: int) -> Text:
    """Return markup as a verb would print it, in one or more lines."""
    return render_plain([lambda screen: screen.print(markup)], width)


def console(width: int) -> Console:
    """Return a console like that of every verb, but with this width and always in color."""
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


def _overview(app: App, status: Status, bot_identity: Identity) -> Iterator[Callable[[Console], None]]:
    parts, waiting, session = sections(status, bot_identity), approvals.run(app), _session(app)
    yield from (parts[name] for name in FIRST_PARTS)
    if any(row.state == "waiting" for row in waiting.data.approvals):
        yield _drawing(waiting)
    yield from (parts[name] for name in LAST_PARTS)
    answer = session.data.explanation
    if answer.funnel.passes:
        yield lambda console: show_funnel(console, answer.funnel)
    else:
        yield lambda console: console.print(answer.sentence, markup=False)


def head(status: Status, bot_identity: Identity) -> str:
    """Return the bot's identity, whether it may open positions, and its health, as markup."""
    state, color = status.trading_state, STATE_STYLE[status.trading_state]
    health = color_state(worst_state(status.health))
    return f"[bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}, [{color}]{state}[/], health {health}"


def outdated_because(status: Status) -> str:
    """Return why the figures are outdated, in the words of the most informative failed part, and how old they are."""
    parts = {judgment.subject: judgment for judgment in status.health}
    failed = next((parts[name] for name in MAKE_OLD if name in parts and parts[name].state is HealthState.FAILED), None)
    if failed is None:
        return ""
    # The clock of the sandbox stands still, but that of what has failed doesn't.
    ages = (each.age_s for each in (failed, parts.get("facts")) if each is not None)
    age_s = next((age_s for age_s in ages if age_s is not None), None)
    age = "" if age_s is None else f", {duration(age_s)} old"
    last = f"the last figures are from {when(status.as_of)}{age}" if status.as_of else "there are no figures yet"
    finding = for_reader(clean(failed.found).rstrip("."))
    return f"{failed.subject} {failed.state}: {finding}; {last}. Next: {with_bot_options(failed.next)}"


class BotFolder(NamedTuple):
    """The folder of one of several bots, and the bot's name in their table and in URLs."""

    name: str
    path: Path


class BotRow(Struct, frozen=True):
    """One of several bots: the same figures as in `status`, or why it can't be read.

    `profit_usd` is the profit of `day`. `exposure` is the unsigned value of the bot's positions as a fraction of its
    equity. `needs` lists what a person has to take care of, the most urgent first.
    """

    name: str
    folder: str
    mode: str | None = None
    venue: str | None = None
    account: str | None = None
    trading_state: str | None = None
    day: date | None = None
    profit_usd: Decimal | None = None
    exposure: Decimal | None = None
    positions: int | None = None
    health: HealthState | None = None
    needs: tuple[str, ...] = ()
    unread: str | None = None


class BotsShown(Struct, frozen=True):
    """Several bots, in the order of their names."""

    bots: tuple[BotRow, ...]


NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
MOST_BOTS = 50
"""How many bots one page or screen shows."""


def named_bots(
    folders: Sequence[Path], bots: bool, state_dir: str | None, config: str | None, command: str
) -> list[BotFolder]:
    """Return the bots that a command line names with --bots, or none if --bots isn't set.

    Raises OperatorError for folders without --bots, for --bots without folders, and for options that only suit a single
    bot.
    """
    if bots is not bool(folders):
        raise OperatorError("to name several bots, give --bots and their folders", f"{command} --bots FOLDER FOLDER")
    if bots and (state_dir or config):
        message = "--state-dir and --config select a single bot"
        raise OperatorError(f"{message}; with --bots, each bot has its own", f"{command} --bots FOLDER FOLDER")
    all_bots = find_bots(folders) if bots else []
    if bots and not any((bot.path / state_folder.MARKER).exists() for bot in all_bots):
        raise OperatorError("none of these folders is a bot's folder or contains one", "tradebot init creates a bot")
    return all_bots


def bots_report(bots: Sequence[BotFolder]) -> Report:
    """Report several bots; exit 10 if one of them can't be read."""
    data = BotsShown(tuple(map(load_bot_row, bots)))
    is_whole = all(row.unread is None for row in data.bots)
    return Report("top-bots", data, show_bots, ExitCode.DONE if is_whole else ExitCode.FINDINGS)


def find_bots(folders: Sequence[Path]) -> list[BotFolder]:
    """Return the bots in these folders. Each folder belongs to a bot, or contains the folders of bots.

    A folder that does neither is returned too, so that its row can say so. Raises OperatorError if there are too many
    bots.
    """
    paths = {path.resolve(): None for folder in folders for path in _bots_in(folder)}
    if len(paths) > MOST_BOTS:
        raise OperatorError(f"these are {len(paths)} bots, but only {MOST_BOTS} can be shown", "name fewer folders")
    bots, taken = list[BotFolder](), set[str]()
    for path in paths:
        own = path.parent.name if path.name == state_folder.DEFAULT.name else path.name
        first = NOT_IN_A_NAME.sub("-", own).strip(".") or "bot"
        names = chain([first], (f"{first}-{number}" for number in count(2)))
        name = next(each for each in names if each not in taken)
        taken.add(name)
        bots.append(BotFolder(name, path))
    return sorted(bots)


def _bots_in(folder: Path) -> Sequence[Path]:
    """Return the folders of the bots inside a folder; the folder itself if it is a bot's, or if none is inside."""
    if (folder / state_folder.MARKER).exists():
        return [folder]
    with suppress(OSError):
        inside = [own for child in sorted(folder.iterdir()) for own in (child, child / state_folder.DEFAULT.name)]
        if bots := [path for path in inside if (path / state_folder.MARKER).exists()]:
            return bots
    return [folder]


def read_bot_row(name: str, app: App) -> BotRow:
    """Return a bot's row, computed from the same sources as `status`."""
    status, bot_identity = status_of(app), identity(app)
    return BotRow(
        name,
        str(app.folder.path),
        bot_identity.mode,
        bot_identity.venue,
        bot_identity.account,
        status.trading_state,
        status.today.day if status.today else None,
        status.today.total_usd if status.today else None,
        exposure(status).fraction,
        sum(row.is_held for row in status.positions),
        worst_state(status.health),
        tuple(clean(need) for need in _needs(app, status)),
    )


def unread_bot_row(name: str, folder: Path, error: TradebotError) -> BotRow:
    """Return the row of a bot that can't be read."""
    return BotRow(name, str(folder), unread=clean(error.message))


def load_bot_row(bot: BotFolder) -> BotRow:
    """Open a bot and return its row; if the bot can't be read, the row says so."""
    try:
        with opened_to_look(str(bot.path), None) as app:
            return read_bot_row(bot.name, app)
    except TradebotError as error:
        return unread_bot_row(bot.name, bot.path, error)
    except (OSError, sqlite3.Error) as error:
        return unread_bot_row(
            bot.name, bot.path, UnreadableError(f"the state can't be read: {error}", "tradebot doctor")
        )


def _needs(app: App, status: Status) -> Iterator[str]:
    """Yield what needs a person, the most urgent first."""
    if bare := [row.symbol for row in status.positions if row.is_held and row.protection and row.protection.lacks_stop]:
        yield f"no stop at the broker for {', '.join(bare)}"
    if status.trading_state != TradingState.ACTIVE:
        yield f"{status.trading_state} by {status.trading_who}: {status.trading_why}"
    if status.permission.next:
        yield f"permission closed: {status.permission.found}"
    if status.unresolved:
        yield f"{pluralize(len(status.unresolved), 'order')} with an unknown outcome"
    if waiting := waiting_approvals(app, status.as_of or app.stamp_time()):
        yield f"{pluralize(len(waiting), 'entry waits', 'entries wait')} for approval"
    # A halt stands above already, with who set it.
    findings = [each for each in rank_judgments(status.health) if each.subject != "halts"]
    yield from (f"{each.subject} {each.state}: {each.found}" for each in findings)


BOT_COLUMNS = ("bot", "mode", "venue", "state", "profit", "exposure", "positions", "health", "what needs a person")
BOT_KINDS: Mapping[str, str] = {"profit": "n", "exposure": "n", "positions": "n", "what needs a person": "s"}
"""Which of these columns hold numbers (n), and which sentences (s)."""


def bot_cells(row: BotRow) -> tuple[str, ...]:
    """Return a bot's cells as markup, in the order of the columns."""
    if row.unread is not None:
        return row.name, "", "", "[red]can't be read[/red]", "", "", "", "", escape(row.unread)
    assert row.trading_state is not None, "a bot that was read has a state"
    assert row.health is not None, "a bot that was read has a health"
    style, more = STATE_STYLE[row.trading_state], len(row.needs) - 1
    return (
        row.name,
        f"{row.mode}",
        f"{row.venue} …{row.account}",
        f"[{style}]{row.trading_state}[/]",
        "" if row.profit_usd is None else f"{gain(row.profit_usd, ' USD')} on {row.day:%m-%d}",
        "" if row.exposure is None else f"{row.exposure:.0%}",
        f"{row.positions}",
        color_state(row.health),
        "" if not row.needs else escape(row.needs[0]) + (f" (and {more} more)" if more else ""),
    )


def show_bots(console: Console, data: BotsShown) -> None:
    """Print the table of several bots."""
    numbers, sentences = ({name for name, kind in BOT_KINDS.items() if kind == of} for of in "ns")
    table = Table(
        *(number(name) if name in numbers else sentence(name) if name in sentences else name for name in BOT_COLUMNS)
    )
    for row in data.bots:
        table.row(*bot_cells(row))
    console.print(table)
