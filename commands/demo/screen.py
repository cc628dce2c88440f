"""The screen at the end of a demo: the session from fetched rows to profit, and whether the books agree."""

from typing import TYPE_CHECKING

from rich.console import Console

from commands.demo.report import DemoData, Earned
from commands.shared.drawing import bar, gain, measured, off_by, usd
from commands.shared.tables import Table, number, sentence, staying
from commands.shared.times import stamp, zone
from commands.why_no_orders.screen import by_strategy
from tradebot.model.decision import units_of
from tradebot.model.text import counted
from tradebot.views.explain import ReasonCount
from tradebot.views.performance.pnl import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

BAR = 12


def render(console: "Console", data: "DemoData") -> None:
    """Print the whole screen."""
    console.rule(f"Session {data.session} on the embedded exchange", align="left", characters="─")
    console.print(
        f"{counted(data.minutes, 'minute')}, {counted(data.symbols, 'symbol')}, seed {data.seed}, "
        f"played in {data.elapsed_s:.0f} s. {_edge_words(data.edge)}"
    )
    for note in data.notes:
        console.print(f"Note      {note}", markup=False)
    flow = data.flow
    console.print(
        f"Fetched   {counted(flow.answers, 'answer')} with {counted(flow.rows, 'row')}: {flow.kept:,} kept, "
        f"{flow.foreign:,} of other tickers, {flow.rejected:,} refused"
    )
    _funnel(console, data)
    orders = ", ".join(f"{count:,} {status}" for status, count in data.orders.items()) or "none"
    console.print(f"Orders    {orders}; {counted(data.fills, 'fill')}")
    exits = ", ".join(f"{count:,} {reason}" for reason, count in data.exits.items()) or "none"
    console.print(f"Exits     {exits}")
    _positions(console, data)
    _money(console, data)
    if data.earned:
        _earned(console, data.earned)
    console.print("Try next")
    for command in data.next_commands:
        console.print(f"  {command}", markup=False)


def _edge_words(edge: float) -> str:
    if not edge:
        return "Its flow is noise, so a strategy can only earn by luck, and pays its costs."
    return (
        f"Its flow predicts prices with an artificial edge of {edge:g}, so the profit says nothing about real markets."
    )


def _funnel(console: "Console", data: "DemoData") -> None:
    seen = data.funnel
    lost = seen.candidates - seen.orders
    console.print(
        f"Funnel    {counted(seen.candidates, 'candidate')} in = {counted(seen.orders, 'order')} out + "
        f"{lost:,} refused, by first failure:"
    )
    table = Table(number("count"), "", staying("reason"), sentence(f"nearest miss {zone()}", "nearest miss:"))
    most = max((row.count for row in seen.reasons), default=1)
    for row in seen.reasons:
        table.row(f"{row.count:,}", bar(row.count, most, BAR), str(row.reason), _nearest(row))
    console.print(table)
    by_strategy(console, seen)


def _nearest(row: "ReasonCount") -> str:
    miss = row.nearest
    if miss is None:
        return ""
    seen, allowed = units_of(miss.gate, row.reason)
    numbers = f"{measured(miss.observed, seen)} against {measured(miss.limit, allowed)}"
    return f"{miss.symbol} {stamp(miss.at, '%H:%M')}: {numbers}, off by {off_by(miss.distance)}"


def _positions(console: "Console", data: "DemoData") -> None:
    if not data.positions:
        console.print("Open      no positions")
        return
    console.print(f"Open      {counted(len(data.positions), 'position')}")
    owners = ["strategy"] if len({row.strategy for row in data.positions}) > 1 else []
    table = Table("symbol", *owners, *(number(name) for name in ("quantity", "entry", "now", "unrealized USD")))
    for row in data.positions:
        prices = usd(row.average_price), usd(row.mark)
        whose = (row.strategy for _ in owners)
        table.row(row.symbol, *whose, f"{row.quantity:,f}", *prices, gain(row.unrealized))
    console.print(table)


def _money(console: "Console", data: "DemoData") -> None:
    profit = data.profit
    console.print(
        f"Profit    {gain(profit.total, ' USD')}: {profit.realized:+,.2f} realized, "
        f"{profit.unrealized:+,.2f} open; cash {profit.cash:,.2f}, equity {profit.equity:,.2f}"
    )
    if not data.differences:
        console.print("Books     [green]the ledger and the exchange's account agree to the cent[/]")
        return
    console.print("Books     [bold red]the ledger and the exchange's account differ[/]")
    for difference in data.differences:
        console.print(f"  {difference}", markup=False)
    console.print("  next: tradebot reconcile", markup=False)


def _earned(console: "Console", data: "Earned") -> None:
    if not data.closed:
        console.print("Trades    none was closed")
        return
    console.print(f"Trades    {counted(data.closed, 'trade')} closed, {data.won:,} won")
    for name, trade in (("best", data.best), ("worst", data.worst)):
        if trade:
            what = f"{trade.symbol} {trade.side}, {trade.reason}, entered for {trade.component}"
            console.print(f"  {name:<8}{gain(trade.net_usd)} USD, {what}")
    console.print(f"By exit   {_rows(data.by_reason)}")
    console.print(f"By entry  {_rows(data.by_component)}")


def _rows(rows: "Sequence[Row]") -> str:
    return ", ".join(f"{row.name} {gain(row.total_usd)}" for row in rows)
