"""`tradebot positions`: what is held, and how far each exit rule is from closing it; the venue is not asked."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from commands.shared.drawing import duration, time_left, way_there
from commands.shared.plain import clean
from commands.shared.surface import Config, Json, Report, StateDir, finish, opened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tradebot.app.wiring import App
    from tradebot.views.holdings import Holding, StopRow

UNBOUNDED = 1000
"""Columns in which a table is measured."""
RULES = {"STOP_LOSS": "stop", "TRAILING_STOP": "trailing", "PROFIT_TARGET": "target", "TIME_EXIT": "time"}


@dataclass(frozen=True, slots=True)
class Positions:
    """All open positions at `as_of`, the last recorded trading time; `fills` says how many records made them.

    `notes` are what a person must know beside them.
    """

    as_of: datetime | None
    positions: "tuple[Holding, ...]"
    unrealized_usd: Decimal
    fills: int
    notes: tuple[str, ...]


def run(app: "App") -> Report:
    """Fold the fills, and measure each position against the exit rules at the last recorded prices."""
    from commands.shared.notes import notes
    from commands.shared.records import held, last_passes, trading_now
    from tradebot.views.holdings import prices

    passes, fills, mark = last_passes(app), app.ledger_view.fills(), app.ledger_view.last_reconcile()
    now = trading_now(app, (*(cycle.at for cycle in passes), mark.at if mark else None))
    rows = held(app, fills, prices(passes), now)
    gains = (row.unrealized_usd for row in rows if row.unrealized_usd is not None)
    data = Positions(now, rows, sum(gains, Decimal(0)), len(fills), notes(app, now))
    return Report(
        "positions", data, lambda console: _render(console, data), mode=app.mode_name, account=app.account_tail
    )


def _render(console: "Console", data: Positions) -> None:
    from tradebot.views.holdings import FOREIGN_OWNER

    ours = [row for row in data.positions if row.strategy != FOREIGN_OWNER]
    at = f"{data.as_of:%Y-%m-%d %H:%M:%S} UTC" if data.as_of else "no recorded time"
    console.print(f"{len(ours)} positions at {at}, folded from {data.fills} fills; the venue was not asked")
    show_own(console, ours)
    for row in data.positions:
        if row.strategy == FOREIGN_OWNER:
            console.print(f"{clean(row.symbol)} {row.quantity:f} is foreign, and left alone", markup=False)
    unpriced = [row.symbol for row in ours if row.price is None]
    if unpriced:
        console.print(f"No price is recorded yet of {', '.join(unpriced)}. Next: tradebot evaluate-exits")
    priced = [row for row in ours if row.price_at and row.cost_usd is not None]
    if priced:
        cost = sum((abs(row.cost_usd) for row in priced if row.cost_usd is not None), Decimal(0))
        seen = max(row.price_at for row in priced if row.price_at is not None)
        gain = f"{data.unrealized_usd:+,.2f} USD on {cost:,.2f} USD"
        console.print(f"Unrealized {gain}, at prices of {seen:%H:%M:%S} UTC")
    for line in data.notes:
        console.print(line, markup=False, soft_wrap=True)


def show_own(console: "Console", rows: "list[Holding]") -> None:
    """Print a table with the rules' prices, with the ways there alone where that is too wide, else lines."""
    unbounded = console.options.update(width=UNBOUNDED)
    tables = (_table(rows, brief=brief) for brief in (False, True))
    fitting = (table for table in tables if console.measure(table, options=unbounded).maximum <= console.width)
    table = next(fitting, None)
    if rows and table is not None:
        console.print(table)
    elif rows:
        for row in rows:
            _lines(console, row)


def _table(rows: "list[Holding]", *, brief: bool) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "quantity", "average", "now", "gain", "best", *RULES.values(), "age"):
        table.add_column(name, justify="left" if name == "symbol" else "right", no_wrap=True)
    for row in rows:
        stops = {stop.rule: _stop(stop, row.nearest, brief=brief) for stop in row.stops}
        table.add_row(
            escape(clean(row.symbol)),
            f"{row.quantity:,f}",
            _price(row.average_price),
            _price(row.price),
            _gain(row.gain),
            _price(row.high_water),
            *(stops[rule] for rule in RULES),
            "" if row.age_s is None else duration(row.age_s),
        )
    return table


def _stop(stop: "StopRow", nearest: str | None, *, brief: bool = False) -> str:
    """Return the price and the way there, in brief the latter; in brackets where the rule only begins to act there."""
    if stop.price is None:
        text = "" if stop.left_s is None else time_left(stop.left_s)
        return f"[bold]{text}[/bold]" if stop.rule == nearest else text
    way = "" if stop.distance is None else way_there(stop.distance)
    text = way if way and brief else f"{stop.price:,.2f} {way}".rstrip()
    if not stop.armed:
        return f"[dim]({text})[/dim]"
    return f"[bold]{text}[/bold]" if stop.rule == nearest else text


def _lines(console: "Console", row: "Holding") -> None:
    now = f", now {_price(row.price)} {_gain(row.gain)}" if row.price is not None else ""
    from rich.markup import escape

    console.print(f"[bold]{escape(clean(row.symbol))}[/bold] {row.quantity:,f} at {_price(row.average_price)}{now}")
    for stop in row.stops:
        acts = "" if stop.armed else " begins to act"
        console.print(f"  {RULES[stop.rule]:<9}{acts} {_stop(stop, row.nearest)}")


def _price(price: Decimal | None) -> str:
    return "" if price is None else f"{price:,.2f}"


def _gain(gain: Decimal | None) -> str:
    if gain is None:
        return ""
    colour = "green" if gain >= 0 else "red"
    return f"[{colour}]{gain:+.2%}[/{colour}]"


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("positions", epilog="Example: tradebot positions --json")
    def positions(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
        """Show what is held, and how far each exit rule is from closing it; the venue is not asked."""
        with opened(state_dir, config) as bot:
            report = run(bot)
        finish(report, as_json)
