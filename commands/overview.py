"""What `tradebot` alone shows: the bot of this folder in ten lines, or three ways to begin where there is none."""

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import color_state, gain
from commands.shared.times import DAY_MINUTE, stamp, zone
from commands.shared.verb_options import Report, identity, opened_to_look, show
from commands.status.report import STATE_STYLE, status_of
from tradebot.adapters.state import state_folder
from tradebot.judging.judgment import HealthState, overall, rank_judgments
from tradebot.model.sentences import pluralize
from tradebot.views.status import Status

WAYS = (
    ("tradebot demo", "plays a session on the embedded exchange; it needs no account"),
    ("tradebot init", "asks a few questions, and makes a bot here"),
    ("tradebot backtest --sessions 20", "plays other days, and keeps the result"),
)
MOST_NEEDS = 3


def show_overview() -> None:
    """Print the bot in the folder that the environment names, or how to begin if there is none."""
    folder = state_folder.resolve(None, os.environ)
    if not state_folder.has_marker(folder) and not (folder / state_folder.LEDGER).exists():
        show(Report("status", folder, _render_ways))
        return
    with opened_to_look(None, None) as bot:
        data, whose = status_of(bot), identity(bot)
    show(Report("status", data, lambda console, _: _render(console, data, whose)))


def _render_ways(console: Console, folder: object) -> None:
    console.print(f"There is no bot in {folder} yet. Three ways to begin:", markup=False)
    widest = max(len(command) for command, _ in WAYS)
    for command, what in WAYS:
        console.print(f"  {command:<{widest}}  {what}", markup=False, soft_wrap=True)
    console.print("All commands: tradebot --help", markup=False)


def _render(console: Console, data: Status, whose: Identity) -> None:
    state = f"[{STATE_STYLE[data.trading_state]}]{data.trading_state}[/]"
    closed = f", entries closed: {escape(clean(data.permission.found))}" if data.permission.next else ""
    console.print(f"[bold]{whose.mode}[/bold], {whose.place}: {state}{closed}")
    for name, line in _lines(data):
        console.print(f"  {name:<10} {line}")
    console.print("More: tradebot summary, tradebot status, tradebot --help", markup=False)


def _lines(data: Status) -> Iterator[tuple[str, str]]:
    """Yield what the bot earned, holds and does next, how it is, and what needs a person, each with its name."""
    day, equity = data.today, data.equity
    if day is not None:
        before = equity.last_usd - day.total_usd if equity else Decimal(0)
        share = f" ({day.total_usd / before:+.2%})" if before > 0 else ""
        yield "Profit", f"{gain(day.total_usd, ' USD')}{share} on {day.day}"
    if equity is not None:
        yield "Equity", f"{equity.last_usd:,.2f} USD"
    orders = pluralize(len(data.orders), "working order", "working orders")
    yield "Open", f"{pluralize(len(data.positions), 'position')}, {orders}"
    due = min(data.next_slots, key=lambda slot: slot.at, default=None)
    yield "Next", f"{due.job} at {_at(due.at)}" if due else "nothing is due that is known: tradebot schedule"
    good = sum(not judgment.state.is_finding for judgment in data.health)
    yield "Health", f"{color_state(overall(data.health))}, {good} of {pluralize(len(data.health), 'part')} well"
    needs = [each for each in rank_judgments(data.health) if each.state is not HealthState.UNKNOWN]
    for each in needs[:MOST_NEEDS]:
        yield "Needs you", f"{each.subject}: {escape(clean(each.found))}. Next: {escape(each.next)}"
    if not needs:
        yield "Needs you", "nothing"


def _at(moment: datetime) -> str:
    return f"{stamp(moment, DAY_MINUTE)} {zone()}"
