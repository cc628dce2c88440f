"""The activity and profit of a demo, checked against the exchange's account."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from rich.console import Console

from commands.demo.run_comparison import (
    DemoRun,
    PreviousRunComparison,
    RunOutcome,
    compare_with_previous,
    run_of,
    store_run,
)
from commands.demo.run_comparison import render as render_beside
from commands.init.profiles import invented_symbols_note
from commands.shared.bot_records import exit_reasons
from commands.shared.history import read_history
from commands.shared.number_format import bar, format_with_unit, gain, off_by, usd
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import stamp, zone
from commands.why_no_orders.report import by_strategy, show_refused_passes
from tradebot import __version__
from tradebot.app.sandbox import remarks_on
from tradebot.app.wiring import App
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.decision import units_of
from tradebot.model.position import EntryTerms, Position
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.differences import booked_behind, compare
from tradebot.reconciliation.read_books import read_books
from tradebot.views.explain import Funnel, ReasonCount, funnel
from tradebot.views.status import Profit, profit
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import NOT_KNOWN, ProfitGrouping, ProfitRow, entry_component, pnl
from tradebot.views.trades.trade_row import TradeRow, TradeStatus, rule_of, rules_of
from tradebot.views.trades.trades import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from commands.demo.run import PlayedSession

CENT = Decimal("0.01")


class FlowTotals(Struct, frozen=True):
    """The flow fetched over the session."""

    answers: int
    rows: int
    kept: int
    foreign: int
    rejected: int


class OpenPosition(Struct, frozen=True):
    """One position at the end, marked at the last price; prices and value in USD."""

    strategy: str
    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    unrealized: Decimal


class OneSession(Struct, frozen=True):
    """One of several sessions: the minutes played, the equity afterward, and the profit, in USD."""

    session: date
    minutes: int
    equity: Decimal
    result: Decimal


class DemoData(Struct, frozen=True):
    """The sessions that were run. `differences` is empty if ledger and exchange agree to the cent.

    `session` is the first one, and `minutes` is the total. `earned` is None if ledger and exchange disagree, because
    the trades' profit is then unknown. `edge` and `flow` are None if no strategy reads flow, and `edge` also if the
    flow was captured. `configuration` is the file with the user's settings, `strategies` are those in use, and `beside`
    compares the run with the previous one, None if there is none.
    """

    state_dir: str
    configuration: str | None
    strategies: tuple[str, ...]
    session: date
    sessions: tuple[OneSession, ...]
    minutes: int
    symbols: int
    seed: int
    edge: float | None
    flow: FlowTotals | None
    funnel: "Funnel"
    exits: dict[str, int]
    orders: dict[str, int]
    fills: int
    positions: tuple[OpenPosition, ...]
    profit: "Profit"
    equity: Decimal
    earned: "DemoEarnings | None"
    differences: tuple[str, ...]
    elapsed_s: float
    next_commands: tuple[str, ...]
    notes: tuple[str, ...]
    beside: "PreviousRunComparison | None"


def played_data(
    app: "App", played: "Sequence[PlayedSession]", elapsed_s: float, last: "DemoRun | None", configuration: str | None
) -> DemoData:
    """Return the result of the sessions compared with the last run, and save it for the next."""
    data = _data(app, played, elapsed_s, configuration)
    minutes = max(session.minutes for session in played)
    how = {"sessions": len(played), "minutes": minutes, "version": __version__}
    run = run_of(app.settings, how, _outcome(data))
    store_run(app.folder.path, run)
    return replace(data, beside=compare_with_previous(last, run) if last else None)


def _outcome(data: DemoData) -> RunOutcome:
    return RunOutcome(
        candidates=data.funnel.candidates,
        orders=data.funnel.orders,
        fills=data.fills,
        closed=data.earned.closed if data.earned else None,
        won=data.earned.won if data.earned else None,
        open_positions=len(data.positions),
        result_usd=None if data.differences else data.equity - data.profit.opening_cash,
        refused={str(row.reason): row.count for row in data.funnel.reasons},
    )


def _data(app: "App", played: "Sequence[PlayedSession]", elapsed_s: float, configuration: str | None) -> DemoData:
    session = played[0].session
    totals = app.ledger.totals()
    positions = totals.own_positions()
    quotes = app.reader.quotes([p.symbol for p in positions])
    # A venue with marks values positions at them.
    marks = {symbol: quote.mark or quote.last for symbol, quote in quotes.items()}
    profit, differences = check(app, marks)
    sandbox = app.settings.sandbox
    reads_flow = bool(app.needed_facts)
    traded = app.facts.cycles(job=Job.TRADE_ONCE, since=session.open)
    return DemoData(
        state_dir=str(app.folder.path),
        configuration=configuration,
        strategies=tuple(app.settings.strategies.sections()),
        session=session.date,
        sessions=tuple(_each(played, profit.opening_cash)),
        minutes=sum(session.minutes for session in played),
        symbols=len(app.settings.universe),
        seed=sandbox.seed,
        edge=sandbox.edge if reads_flow and sandbox.flow_folder is None else None,
        flow=_flow(app, session) if reads_flow else None,
        funnel=funnel(traded),
        exits=_exits(app, session),
        orders=dict(Counter(str(order.status) for order in app.ledger.orders()).most_common()),
        fills=totals.count,
        positions=tuple(_open_position(position, marks) for position in positions),
        profit=profit,
        equity=profit.equity,
        earned=None if differences else demo_earnings(app),
        differences=differences,
        elapsed_s=elapsed_s,
        next_commands=_next(app, traded),
        notes=(*invented_symbols_note(app.settings, app.settings.universe), *remarks_on(app.folder.exchange)[0]),
        beside=None,
    )


def _each(played: "Sequence[PlayedSession]", opening_cash: Decimal) -> "Iterator[OneSession]":
    before = opening_cash
    for session in played:
        yield OneSession(session.session.date, session.minutes, session.equity, session.equity - before)
        before = session.equity


def _exits(app: "App", session: "Session") -> dict[str, int]:
    fills = app.ledger.fills()
    filled = {owned.fill.venue_order_id for owned in fills if owned.fill.at >= session.open}
    closing = [filled.intersection(trade.exit_orders) for trade in trades(fills)]
    reasons = exit_reasons(app, set().union(*closing))
    of_trades = (
        {rule for order in orders if (reason := reasons[order]) for rule in rules_of(reason)} for orders in closing
    )
    return dict(Counter(reason for of_one in of_trades for reason in sorted(of_one)).most_common())


def check(app: "App", marks: dict[str, Decimal]) -> "tuple[Profit, tuple[str, ...]]":
    """Compute the profit from the ledger, and list where ledger and exchange differ by a cent or more."""
    view = app.reader.view()
    books = read_books(app.ledger, app.now(), app.day, view.orders)
    held_symbols = set(books.quantities())
    missing = tuple(f"{symbol}: there is no price to value it at" for symbol in sorted(held_symbols - set(marks)))
    worth, opening = {**dict.fromkeys(held_symbols, Decimal(0)), **marks}, app.ledger.opening_cash()
    computed = profit(opening, books.totals, worth, books.standing.cash_adjustments, books.standing.settlement)
    differing = compare(books, booked_behind(app.ledger, books), view)
    different = tuple(f"{f.kind} {f.subject}: ledger {f.ours}, exchange {f.broker}" for f in differing)
    if abs(computed.equity - view.account.equity) >= CENT:
        different += (f"equity: ledger {computed.equity}, exchange {view.account.equity}",)
    return computed, missing + different


def _flow(app: "App", session: "Session") -> FlowTotals:
    answers = app.facts.intakes(session.open)
    return FlowTotals(
        answers=len(answers),
        rows=sum(answer.received for answer in answers),
        kept=sum(answer.received - answer.foreign - answer.duplicates - len(answer.rejected) for answer in answers),
        foreign=sum(answer.foreign for answer in answers),
        rejected=sum(len(answer.rejected) for answer in answers),
    )


def _open_position(position: "Position", marks: dict[str, Decimal]) -> OpenPosition:
    mark = marks.get(position.symbol, position.average_price)
    unrealized = position.value_at(mark) - position.cost
    return OpenPosition(position.strategy, position.symbol, position.quantity, position.average_price, mark, unrealized)


def _next(app: "App", traded: "Sequence[Any]") -> tuple[str, ...]:
    refused = (
        [r.candidate.symbol for r in traded[-1].candidates if r.terminal] if traded else list(app.settings.universe)
    )
    noise = ("tradebot demo --edge 0 --state-dir state/noise",) if app.needed_facts else ()
    return (f"tradebot why-no-orders {(refused or list(app.settings.universe))[0]}", "tradebot status", *noise)


class DemoTrade(Struct, frozen=True):
    """A closed trade: its profit after fees in USD, its exit reason, and the main component of its entry score."""

    symbol: str
    side: str
    net_usd: Decimal
    reason: str
    component: str


class DemoEarnings(Struct, frozen=True):
    """The closed trades, the best and worst of them, and the total profit by exit reason and by entry component."""

    closed: int
    won: int
    best: DemoTrade | None
    worst: DemoTrade | None
    by_reason: "tuple[ProfitRow, ...]"
    by_component: "tuple[ProfitRow, ...]"


def demo_earnings(app: "App") -> DemoEarnings:
    """Return the profit of a demo's trades, with open positions valued at its final prices."""
    history = read_history(app)
    history_parts, trades = break_down_profit(history), rows_of(history, MarketTime(())).trades
    closed = sorted((row for row in trades if row.status is TradeStatus.CLOSED), key=lambda row: row.net_usd)
    return DemoEarnings(
        closed=len(closed),
        won=sum(row.net_usd > 0 for row in closed),
        best=_trade(closed[-1]) if closed else None,
        worst=_trade(closed[0]) if len(closed) > 1 else None,
        by_reason=pnl(history_parts, ProfitGrouping.REASON).rows,
        by_component=pnl(history_parts, ProfitGrouping.COMPONENT).rows,
    )


def _trade(row: "TradeRow") -> DemoTrade:
    component = entry_component(EntryTerms(components=row.components), Side.BUY if row.side == "long" else Side.SELL)
    return DemoTrade(row.symbol, row.side, row.net_usd, rule_of(row.reasons[-1]), component)


BAR = 12


def render(console: "Console", data: "DemoData") -> None:
    """Print the whole screen."""
    last = data.sessions[-1].session
    which = f"Session {data.session}" if last == data.session else f"Sessions {data.session} to {last}"
    console.rule(f"{which} on the embedded exchange", align="left", characters="─")
    console.print(
        f"{pluralize(data.minutes, 'minute')}, {pluralize(data.symbols, 'symbol')}, seed {data.seed}, "
        f"played in {data.elapsed_s:.0f} s.{'' if data.edge is None else f' {_edge_words(data.edge)}'}"
    )
    if data.configuration:
        console.print(f"Settings  {data.configuration}", markup=False)
    for note in data.notes:
        console.print(f"Note      {note}", markup=False)
    if flow := data.flow:
        console.print(
            f"Fetched   {pluralize(flow.answers, 'answer')} with {pluralize(flow.rows, 'row')}: {flow.kept:,} kept, "
            f"{flow.foreign:,} of other tickers, {flow.rejected:,} refused"
        )
    _funnel(console, data)
    orders = ", ".join(f"{count:,} {status}" for status, count in data.orders.items()) or "none"
    console.print(f"Orders    {orders}; {pluralize(data.fills, 'fill')}")
    exits = ", ".join(f"{count:,} {reason}" for reason, count in data.exits.items()) or "none"
    console.print(f"Exits     {exits}")
    _positions(console, data)
    _money(console, data)
    if len(data.sessions) > 1:
        each = ", ".join(f"{session.session:%m-%d} {gain(session.result)}" for session in data.sessions)
        console.print(f"By day    {each}")
    if data.earned:
        _print_earnings(console, data.earned)
    if data.beside:
        render_beside(console, data.beside)
    console.print("Try next")
    for command in data.next_commands:
        console.print(f"  {command}", markup=False)


def _edge_words(edge: float) -> str:
    if not edge:
        return "The generated flow is noise, so a strategy can earn only by luck, and it pays costs."
    return (
        f"The generated flow predicts prices with an artificial edge of {edge:g}, so the profit says nothing about "
        "real markets."
    )


def _funnel(console: "Console", data: "DemoData") -> None:
    funnel = data.funnel
    console.print(
        f"Funnel    {pluralize(funnel.candidates, 'candidate')} in = {pluralize(funnel.orders, 'order')} out + "
        f"{funnel.candidates - funnel.orders:,} refused, by first failure:"
    )
    table = Table(
        number("count"), "", last_folded_column("reason"), sentence(f"nearest miss {zone()}", "nearest miss:")
    )
    most = max((row.count for row in funnel.reasons), default=1)
    for row in funnel.reasons:
        table.row(f"{row.count:,}", bar(row.count, most, BAR), str(row.reason), _nearest(row))
    console.print(table)
    show_refused_passes(console, funnel)
    by_strategy(console, funnel)


def _nearest(row: "ReasonCount") -> str:
    miss = row.nearest
    if miss is None:
        return ""
    units = units_of(miss.gate, row.reason, miss.unit)
    numbers = " against ".join(format_with_unit(*each) for each in zip((miss.observed, miss.limit), units, strict=True))
    return f"{miss.symbol} {stamp(miss.at, '%H:%M')}: {numbers}, off by {off_by(miss.observed, miss.limit, units)}"


def _positions(console: "Console", data: "DemoData") -> None:
    if not data.positions:
        console.print("Open      no positions")
        return
    console.print(f"Open      {pluralize(len(data.positions), 'position')}")
    owners = ["strategy"] if len({row.strategy for row in data.positions}) > 1 else []
    table = Table("symbol", *owners, *(number(name) for name in ("quantity", "entry", "now", "unrealized USD")))
    for row in data.positions:
        prices = usd(row.average_price, row.symbol), usd(row.mark, row.symbol)
        strategy_cell = (row.strategy for _ in owners)
        table.row(row.symbol, *strategy_cell, f"{row.quantity:,f}", *prices, gain(row.unrealized))
    console.print(table)


def _money(console: "Console", data: "DemoData") -> None:
    profit = data.profit
    earned = profit.equity - profit.opening_cash
    others = earned - profit.realized - profit.unrealized
    apart = f", {others:+,.2f} fees, funding and the like" if others else ""
    console.print(
        f"Profit    {gain(earned, ' USD')}: {profit.realized:+,.2f} realized, "
        f"{profit.unrealized:+,.2f} open{apart}; cash {profit.cash:,.2f}, equity {profit.equity:,.2f}"
    )
    if not data.differences:
        console.print("Books     [green]the ledger and the exchange's account agree to the cent[/]")
        return
    console.print("Books     [bold red]the ledger and the exchange's account differ[/]")
    for difference in data.differences:
        console.print(f"  {difference}", markup=False)
    console.print("  next: tradebot reconcile", markup=False)


def _print_earnings(console: "Console", data: "DemoEarnings") -> None:
    if not data.closed:
        console.print("Trades    none was closed")
        return
    console.print(f"Trades    {pluralize(data.closed, 'trade')} closed, {data.won:,} won")
    for name, trade in (("best", data.best), ("worst", data.worst)):
        if trade:
            entered = f", entered for {trade.component}" if trade.component != NOT_KNOWN else ""
            console.print(f"  {name:<8}{gain(trade.net_usd)} USD, {trade.symbol} {trade.side}, {trade.reason}{entered}")
    console.print(f"By exit   {_rows(data.by_reason)}")
    console.print(f"By entry  {_rows(data.by_component)}")


def _rows(rows: "Sequence[ProfitRow]") -> str:
    return ", ".join(f"{row.name} {gain(row.total_usd)}" for row in rows)
