"""The screen at the end of a demo: the session from fetched rows to profit, and whether the books agree."""

from typing import TYPE_CHECKING

from rich.table import Table

from commands.shared.drawing import bar

if TYPE_CHECKING:
    from rich.console import Console

    from commands.demo.verb import DemoData
    from tradebot.explain import ReasonCount

BAR = 24


def render(console: "Console", data: "DemoData") -> None:
    """Print the whole screen."""
    console.rule(f"Session {data.session} on the embedded exchange", align="left", characters="─")
    console.print(
        f"{data.minutes} minutes, {data.symbols} symbols, seed {data.seed}, played in {data.elapsed_s:.0f} s. "
        + _edge_words(data.edge)
    )
    for note in data.notes:
        console.print(f"Note      {note}", soft_wrap=True, markup=False)
    flow = data.flow
    console.print(
        f"Fetched   {flow.answers:,} answers with {flow.rows:,} rows: {flow.kept:,} kept, "
        f"{flow.foreign} of other tickers, {flow.rejected:,} refused"
    )
    _funnel(console, data)
    orders = ", ".join(f"{count} {status}" for status, count in data.orders.items()) or "none"
    console.print(f"Orders    {orders}; {data.fills} fills")
    exits = ", ".join(f"{count} {reason}" for reason, count in data.exits.items()) or "none"
    console.print(f"Exits     {exits}")
    _positions(console, data)
    _money(console, data)
    console.print("Try next")
    for command in data.next_commands:
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _edge_words(edge: float) -> str:
    if not edge:
        return "Its flow is noise: no strategy can earn here but by luck, less its costs."
    return f"Its flow foresees prices by a made-up edge of {edge:g}: the profit says nothing of real markets."


def _funnel(console: "Console", data: "DemoData") -> None:
    seen = data.funnel
    lost = seen.candidates - seen.orders
    console.print(
        f"Funnel    {seen.candidates:,} candidates in = {seen.orders} orders out + {lost:,} refused, by first failure:"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 1))
    table.add_column("count", justify="right")
    table.add_column("")
    table.add_column("reason")
    table.add_column("nearest miss", overflow="fold")
    most = max((row.count for row in seen.reasons), default=1)
    for row in seen.reasons:
        table.add_row(f"{row.count:,}", bar(row.count, most, BAR), str(row.reason), _nearest(row))
    console.print(table)


def _nearest(row: "ReasonCount") -> str:
    miss = row.nearest
    if miss is None:
        return ""
    return f"{miss.symbol} {miss.at:%H:%M} {miss.observed} against {miss.limit}, off by {miss.distance:.1%}"


def _positions(console: "Console", data: "DemoData") -> None:
    if not data.positions:
        console.print("Open      no positions")
        return
    console.print(f"Open      {len(data.positions)} positions")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 1))
    for name in ("symbol", "quantity", "entry", "now", "unrealized USD"):
        table.add_column(name, justify="left" if name == "symbol" else "right")
    for row in data.positions:
        colour = "green" if row.unrealized >= 0 else "red"
        table.add_row(
            row.symbol,
            f"{row.quantity:f}",
            f"{row.average_price:.2f}",
            f"{row.mark:.2f}",
            f"[{colour}]{row.unrealized:+,.2f}[/]",
        )
    console.print(table)


def _money(console: "Console", data: "DemoData") -> None:
    profit = data.profit
    colour = "green" if profit.total >= 0 else "red"
    console.print(
        f"Profit    [{colour}]{profit.total:+,.2f} USD[/]: {profit.realized:+,.2f} realized, "
        f"{profit.unrealized:+,.2f} open; cash {profit.cash:,.2f}, equity {profit.equity:,.2f}"
    )
    if not data.differences:
        console.print("Books     [green]the ledger's own fold equals the exchange's account to the cent[/]")
        return
    console.print("Books     [bold red]the ledger and the exchange do not agree[/]")
    for difference in data.differences:
        console.print(f"  {difference}", markup=False)
    console.print("  next: tradebot reconcile", markup=False)
