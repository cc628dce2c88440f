"""The trades of an account, read from its own records."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct

from commands.shared.files import cell, csv_text
from commands.shared.history import read_history
from tradebot.app.wiring import App
from tradebot.model.candidate import Component
from tradebot.model.values import columns
from tradebot.model.venue import Settlement
from tradebot.timetable.sessions import BEGINS_AHEAD
from tradebot.views.slippage import TotalSlippage, total_slippage
from tradebot.views.trades.days import LONGEST_GAP, MarketTime
from tradebot.views.trades.fees import fees_assumption
from tradebot.views.trades.history import History
from tradebot.views.trades.pnl import fees_not_counted
from tradebot.views.trades.trade_row import (
    Choice,
    Excursion,
    LotRow,
    TradeRow,
    TradeRows,
    TradeTotals,
    select_rows,
    totals_of,
)
from tradebot.views.trades.trades import rows_of

MIDPOINTS = ("decision", "send", "arrival")
EXCURSION = Excursion.__struct_fields__
SPREAD = {
    **{name: tuple(f"{name}_{part}" for part in EXCURSION) for name in ("best", "worst")},
    "slippage": tuple(f"slippage_{at}_{part}" for at in MIDPOINTS for part in ("usd", "bps", "fills", "of_fills")),
}
"""The fields of a trade that take several columns."""
LOT_COLUMNS = LotRow.__struct_fields__
PLAIN = tuple(name for name in TradeRow.__struct_fields__ if name not in {*SPREAD, "reasons", "components"})
"""The fields of a trade whose values are written as they are."""


def format_csv(trades: "Sequence[TradeRow]", lots: "Sequence[LotRow] | None") -> str:
    """Return the text of a CSV file with these lots, or without lots with these trades."""
    if lots is None:
        names = [column for name in columns(TradeRow, trades) for column in SPREAD.get(name, (name,))]
        return csv_text(names, ([cells[name] for name in names] for cells in map(_trade, trades)))
    return csv_text(LOT_COLUMNS, ([cell(getattr(lot, column)) for column in LOT_COLUMNS] for lot in lots))


def _trade(row: "TradeRow") -> "Mapping[str, str]":
    return {
        **{name: cell(getattr(row, name)) for name in PLAIN},
        "reasons": "; ".join(row.reasons),
        "components": "; ".join(map(_component, row.components)),
        **dict(_excursion("best", row.best)),
        **dict(_excursion("worst", row.worst)),
        **{name: text for total in row.slippage for name, text in _slippage(total)},
    }


def _component(component: "Component") -> str:
    """Return a component as its name, its value, and the weight that it had; no value if its data was absent."""
    value = "" if component.value is None else f"{component.value!r}"
    return f"{component.name}={value}*{component.weight!r}"


def _excursion(name: str, found: "Excursion | None") -> "Iterator[tuple[str, str]]":
    for part in EXCURSION:
        yield f"{name}_{part}", cell(None if found is None else getattr(found, part))


def _slippage(total: "TotalSlippage") -> "Iterator[tuple[str, str]]":
    name = f"slippage_{total.against}"
    yield f"{name}_usd", cell(total.total.usd if total.total else None)
    yield f"{name}_bps", cell(total.total.bps if total.total else None)
    yield f"{name}_fills", str(total.known)
    yield f"{name}_of_fills", str(total.of)


NO_FEES = "The broker has booked no fees for these trades so far."
RISK = (
    "R is the net profit of a closed trade over its initial risk: the distance from the entry to the stop that rested "
    "first at the broker, or else to the one that the entry asked for, times all shares entered."
)
EXCURSIONS = (
    "Best and worst are the prices that passes saw while the trade was open, and those of its exits; the market may "
    "have gone further in between."
)
OPEN = "What is held is valued at the last price that was recorded: in a backtest, that of the close."


class Trades(Struct, frozen=True):
    """The chosen trades in the order in which they were opened, and their lots in the order of their exits.

    `as_of` is the last recorded moment. `known` counts all trades in the books, chosen or not. `lots` are only filled
    by --lots. `slippage` is that of all fills of the trades together, and `assumptions` are what the figures rest on.
    """

    as_of: datetime | None
    from_date: date | None
    to_date: date | None
    known: int
    trades: tuple[TradeRow, ...]
    lots: tuple[LotRow, ...]
    totals: TradeTotals
    slippage: tuple[TotalSlippage, ...]
    assumptions: tuple[str, ...]


def all_rows(app: "App", *, by_lot: bool = False) -> "tuple[History, TradeRows]":
    """Return the account's history and all its trades, with every lot if asked for."""
    history = read_history(app)
    times = [history.at, *(owned.fill.at for owned in (*history.fills[:1], *history.fills[-1:]))]
    return history, rows_of(history, _market(app, [at for at in times if at is not None]), by_lot=by_lot)


def read(app: "App", choice: "Choice", *, by_lot: bool) -> Trades:
    """Return the chosen trades of an account, with their lots if asked for."""
    history, rows = all_rows(app, by_lot=by_lot)
    trades = select_rows(rows.trades, choice, history.day)
    return Trades(
        as_of=history.at,
        from_date=choice.days.first,
        to_date=choice.days.last,
        known=len(rows.trades),
        trades=trades,
        lots=select_rows(rows.lots, choice, history.day),
        totals=totals_of(trades),
        slippage=_together(trades),
        assumptions=tuple(_assumptions(trades, history.settlement)),
    )


def _assumptions(trades: tuple[TradeRow, ...], settlement: Settlement) -> "Iterator[str]":
    unknown = sum(row.unknown_fees for row in trades)
    yield from fees_not_counted(unknown, {})
    booked = any(row.fees_usd or row.open_fees_usd for row in trades)
    if trades and (not unknown or booked):
        yield fees_assumption(settlement) if booked else NO_FEES
    if any(row.risk_usd for row in trades):
        yield RISK
    if any(row.best or row.worst for row in trades):
        yield EXCURSIONS
    if any(row.open_usd is not None for row in trades):
        yield OPEN


def _market(app: "App", times: list[datetime]) -> "MarketTime":
    if not times:
        return MarketTime(())
    start, end = min(times) - LONGEST_GAP, max(times) + timedelta(days=1)
    return MarketTime(app.ledger_view.sessions(start.date(), end.date() + BEGINS_AHEAD))


def _together(trades: tuple[TradeRow, ...]) -> tuple[TotalSlippage, ...]:
    return tuple(total_slippage(list(column)) for column in zip(*(trade.slippage for trade in trades), strict=True))
