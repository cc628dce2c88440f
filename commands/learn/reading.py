"""Read what is learned from: trades and blocked trades, the calendar, and the settings in force."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from commands.learn.following import followed
from commands.trades.report import all_rows
from tradebot.app.wiring import App
from tradebot.lab.learn.knobs import ExitAt, HeldFor
from tradebot.lab.learn.learn import Found, Material, Strategy, Watched, learned
from tradebot.model.record import Job
from tradebot.strategies.settings import BUILT_IN
from tradebot.timetable.sessions import BEGINS_AHEAD
from tradebot.views.trades.trade_row import Choice, chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradebot.ports.world import Progress
    from tradebot.timetable.job_times import JobTimes
    from tradebot.views.trades.trade_row import TradeRow

ASKED_EACH_TIME = BUILT_IN - {"rotation"}
"""The built-in strategies that the timetable asks; when a plug-in is asked, only it knows."""
STOP, TARGET, TIME = "stop_loss", "profit_target", "time_exit"
FRACTION, AFTER = "fraction", "after_s"
NUMBERS: Mapping[str, str] = {STOP: FRACTION, TARGET: FRACTION, TIME: AFTER}
"""The number of each exit rule that is learned."""


def read(app: "App", choice: Choice, progress: "Progress") -> tuple[Found, tuple[str, ...], datetime | None]:
    """Return what is learned from an account's records, what isn't known and why, and the last recorded moment.

    Raises DamagedBooksError, naming the row, if the books are damaged.
    """
    history, rows = all_rows(app)
    trades = chosen(rows.trades, choice, history.day)
    material = _material(app, trades, choice)
    blocked, left, problem = followed(app, material, choice, history.at, progress)
    found = learned(material, left)
    proposals = (*found.proposals, *blocked)
    return Found(found.counts, found.unknown, proposals), (problem,) if problem else (), history.at


def _material(app: "App", trades: "Sequence[TradeRow]", choice: Choice) -> Material:
    opened = [trade.opened_at for trade in trades]
    span = (min(opened).date() - timedelta(days=1), max(opened).date() + BEGINS_AHEAD) if opened else None
    names = [name for name in app.settings.strategies.sections() if choice.strategy in (None, name)]
    return Material(
        trades=trades,
        sessions={one.date: one for one in app.ledger_view.sessions(*span)} if span else {},
        day=app.day,
        strategies=[_strategy(app, name) for name in names],
        watched=[*_watched(app, names)],
        entries=_entries(app),
    )


def _entries(app: "App") -> "tuple[str, JobTimes] | None":
    """Return the setting that says when entries are made, and what it says."""
    timetable = app.settings.timetable
    line = next((one for one in timetable.lines if one.job == Job.TRADE_ONCE), None)
    if line is None:
        return None
    setting = f"timetable.{Job.TRADE_ONCE.value}"
    return setting if isinstance(line.written(), str) else f"{setting}.when", timetable[Job.TRADE_ONCE]


def _strategy(app: "App", name: str) -> Strategy:
    section = app.settings.strategies.sections()[name]
    weights = getattr(section, "weights", None)
    known = weights if isinstance(weights, Mapping) else {}
    return Strategy(
        name=name,
        weights={key: float(value) for key, value in known.items() if isinstance(value, int | float)},
        limits=app.rules.of(name).limits,
        asked_each_time=section.times is None and (section.strategy or name) in ASKED_EACH_TIME,
    )


def _watched(app: "App", names: list[str]) -> Iterator[Watched]:
    sections, account = app.settings.strategies.sections(), app.settings.exits
    of_account = frozenset(name for name in names if sections[name].exits is None)
    if of_account:
        yield Watched(
            "",
            of_account,
            ExitAt("exits.stop_loss_fraction", account.stop_loss_fraction),
            ExitAt("exits.profit_target_fraction", account.profit_target_fraction),
            HeldFor("exits.time_exit_s", account.time_exit_s),
        )
    for name in names:
        listed = sections[name].exits
        if listed is not None:
            numbers = {rule: fields[NUMBERS[rule]] for one in listed for rule, fields in one.items() if rule in NUMBERS}
            setting = f"strategies.{name}.exits"
            yield Watched(
                name,
                frozenset({name}),
                ExitAt(setting, numbers[STOP], STOP) if STOP in numbers else None,
                ExitAt(setting, numbers[TARGET], TARGET) if TARGET in numbers else None,
                HeldFor(setting, numbers[TIME], TIME) if TIME in numbers else None,
            )
