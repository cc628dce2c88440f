"""The trades of an account, read from its own records."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from commands.shared.files import cell, csv_text
from commands.shared.history import read_history
from commands.shared.light_helpers import clean
from commands.shared.number_format import duration, format_signed, gain, in_units, slippage_sentences, units, usd
from commands.shared.tables import Column, Table, explains, last_folded_column, number, sentence
from commands.shared.times import DAY_MINUTE, MINUTE, stamp, when, zone
from tradebot.app.wiring import App
from tradebot.model.candidate import Component
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import columns
from tradebot.model.venue import Settlement
from tradebot.timetable.sessions import BEGINS_AHEAD
from tradebot.views.slippage import TotalSlippage, total_slippage
from tradebot.views.trades.days import LONGEST_GAP, MarketTime
from tradebot.views.trades.fees import fees_assumption
from tradebot.views.trades.history import History
from tradebot.views.trades.pnl import fees_not_counted
from tradebot.views.trades.trade_row import (
    SHORT,
    Choice,
    EntrySource,
    Excursion,
    LotRow,
    RiskFrom,
    TradeRow,
    TradeRows,
    TradeStatus,
    TradeTotals,
    rules_of,
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
"""The fields of a trade that occupy several columns."""
LOT_COLUMNS = LotRow.__struct_fields__
PLAIN = tuple(name for name in TradeRow.__struct_fields__ if name not in {*SPREAD, "reasons", "components"})
"""The fields of a trade whose values are written as they are."""


def format_csv(trades: "Sequence[TradeRow]", lots: "Sequence[LotRow] | None") -> str:
    """Return the lots, or the trades if `lots` is None, as the text of a CSV file."""
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


def _excursion(name: str, excursion: "Excursion | None") -> "Iterator[tuple[str, str]]":
    for part in EXCURSION:
        yield f"{name}_{part}", cell(None if excursion is None else getattr(excursion, part))


def _slippage(total: "TotalSlippage") -> "Iterator[tuple[str, str]]":
    name = f"slippage_{total.against}"
    yield f"{name}_usd", cell(total.total.usd if total.total else None)
    yield f"{name}_bps", cell(total.total.bps if total.total else None)
    yield f"{name}_fills", str(total.known)
    yield f"{name}_of_fills", str(total.of)


NO_FEES = "The broker has booked no fees for these trades so far."
RISK = (
    "R is a closed trade's net profit divided by its initial risk. The risk is the distance from the entry to the "
    "first stop that rested at the broker, times all shares entered; without such a stop, it is the distance to the "
    "stop that the entry requested."
)
EXCURSIONS = (
    "Best and worst are among the prices that passes saw while the trade was open, and its exit prices. The market "
    "may have gone further in between."
)
OPEN = "Open positions are valued at the last recorded price: in a backtest, the close."


class Trades(Struct, frozen=True):
    """The chosen trades in the order of opening, and their lots in the order of their exits.

    `as_of` is the last recorded moment. `known` counts all trades in the books, chosen or not. `lots` is empty without
    --lots. `slippage` covers all fills of the trades together, and `assumptions` are the assumptions behind the
    figures.
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
    """Return the account's history and all its trades; with `by_lot`, also every lot."""
    history = read_history(app)
    times = [history.at, *(owned.fill.at for owned in (*history.fills[:1], *history.fills[-1:]))]
    return history, rows_of(history, _market(app, [at for at in times if at is not None]), by_lot=by_lot)


def read(app: "App", choice: "Choice", *, by_lot: bool) -> Trades:
    """Return the chosen trades of an account; with `by_lot`, also their lots."""
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


LONGEST = 24
"""How many characters of what closed a trade a short screen shows."""
SHOWN, SHOWN_SHORT = 200, 25
"""How many rows a screen shows, with --explain and without; the file of --csv and the JSON document have them all."""


def show(console: "Console", data: "Trades", *, by_lot: bool, nothing: str = "") -> None:
    """Print the sums, the chosen trades or lots, and the assumptions."""
    at = f" at {when(data.as_of)}" if data.as_of else ""
    span = "".join(f" {word} {day}" for word, day in (("from", data.from_date), ("to", data.to_date)) if day)
    console.print(f"{len(data.trades):,} of {pluralize(data.known, 'trade')}{span}{at}; the broker was not queried")
    if not data.known:
        console.print("Nothing was bought yet. Next: tradebot trade-once, then tradebot why-no-orders", markup=False)
        return
    if not data.trades and not data.lots:
        console.print(f"{nothing or 'No trades match.'} All of them: tradebot trades", markup=False)
        return
    for line in _sums(data.totals):
        console.print(line, markup=False)
    rows = data.lots if by_lot else data.trades
    most = SHOWN if explains(console) else SHOWN_SHORT
    if len(rows) > most:
        console.print(f"Showing the last {most:,}; --from, --symbol, --csv or --json shows others", markup=False)
    if by_lot:
        _lots(console, data.lots[-most:])
    else:
        _trades(console, data.trades[-most:])
    for line in (*_known_r(data), *slippage_sentences(data.slippage)):
        console.print(line, markup=False)
    about_fees = *fees_not_counted(sum(row.unknown_fees for row in data.trades), {}), NO_FEES
    short = [line for line in data.assumptions if line in about_fees]
    for line in map(in_units, data.assumptions if explains(console) else short):
        console.print(line, markup=False, style="dim")


def _trades(console: "Console", rows: "Sequence[TradeRow]") -> None:
    form, several, whole = _form(rows), len({row.strategy for row in rows}) > 1, explains(console)
    more = ("best", "worst", "score") if whole else ()
    table = _table("net USD", "open", "R", *more, last=("from", "id", sentence("note", "note")))
    for row in rows:
        score = "" if row.entry_score is None else format_signed(row.entry_score, 2)
        table.row(
            *_first(row, _shares(row), form),
            gain(row.net_usd) if row.closed_quantity else "",
            _open(row),
            "" if row.r is None else f"{row.r:+.2f}",
            *((_went(row.best), _went(row.worst), score) if whole else ()),
            escape(row.strategy) if several else "",
            escape(_closed_by(row, whole)),
            escape(_from(row)),
            row.id,
            Text(clean(" ".join((*(f"#{tag}" for tag in row.tags), row.note)).strip())),
        )
    console.print(table)


def _closed_by(row: "TradeRow", whole: bool) -> str:
    """Return what closed a trade: with all amounts, or in short the first rule and how many more there were."""
    if whole:
        return ", ".join(map(clean, row.reasons))
    rules = [clean(rule) for reason in row.reasons for rule in rules_of(reason)] or [""]
    first = rules[0] if len(rules[0]) <= LONGEST else f"{rules[0][: LONGEST - 1]}…"
    return f"{first} +{len(rules) - 1}" if rules[1:] else first


def _from(row: "TradeRow") -> str:
    if row.moved_from:
        return f"{clean(row.moved_from)}, story {row.story}"
    return "" if row.source is EntrySource.BOT else row.source.value


def _lots(console: "Console", rows: "Sequence[LotRow]") -> None:
    form, several = _form(rows), len({row.strategy for row in rows}) > 1
    table = _table("gross USD", "fees", "net USD", "open", last=("trade",))
    for lot in rows:
        table.row(
            *_first(lot, f"{_sign(lot.side)}{lot.quantity:,f}", form),
            "" if lot.gross_usd is None else f"{lot.gross_usd:+,.2f}",
            "not known yet" if lot.fees_usd is None else f"{lot.fees_usd:+,.2f}" if lot.fees_usd else "",
            "" if lot.net_usd is None else gain(lot.net_usd),
            "" if lot.open_usd is None else gain(lot.open_usd),
            escape(lot.strategy) if several else "",
            escape(clean(lot.reason)),
            lot.trade_id,
        )
    console.print(table)


def _table(*amounts: str, last: "Sequence[Column | str]") -> "Table":
    numbers = map(number, ("held", units(), "entry", "exit", *amounts))
    opened = Column(f"opened {zone()}", "opened", stays=True)
    return Table(opened, last_folded_column("symbol"), *numbers, "strategy", "closed by", *last)


def _first(row: "TradeRow | LotRow", shares: str, form: str) -> tuple[str, ...]:
    duration_text = "" if row.held_s is None else duration(row.held_s)
    prices = usd(row.entry_price, row.symbol), usd(row.exit_price, row.symbol) or "open"
    return stamp(row.opened_at, form), escape(clean(row.symbol)), duration_text, shares, *prices


def _form(rows: "Sequence[TradeRow | LotRow]") -> str:
    return DAY_MINUTE if len({row.opened_at.year for row in rows}) == 1 else MINUTE


def _shares(row: "TradeRow") -> str:
    """Return how many shares were entered, below zero for a short; `4/10` if 4 of them are closed."""
    part = f"{row.closed_quantity:,f}/" if row.status is TradeStatus.PARTLY_CLOSED else ""
    return f"{_sign(row.side)}{part}{row.quantity:,f}"


def _sign(side: str) -> str:
    return "-" if side == SHORT else ""


def _open(row: "TradeRow") -> str:
    """Return the profit of the shares that are still held; a dash if there is no last price."""
    if row.status is TradeStatus.CLOSED:
        return ""
    return "-" if row.open_usd is None else gain(row.open_usd)


def _went(excursion: "Excursion | None") -> str:
    return "" if excursion is None else f"{round(excursion.fraction, 3) + 0:+.1%}"


def _sums(totals: "TradeTotals") -> list[str]:
    ends = [f"{totals.won:,} won", f"{totals.lost:,} lost", *([f"{totals.even:,} even"] if totals.even else [])]
    partly = f" ({totals.partly_closed:,} closed in part)" if totals.partly_closed else ""
    fees = f"{totals.fees_usd:+,.2f}" if totals.fees_usd or not totals.unknown_fees else "not known yet"
    money = f"gross {totals.gross_usd:+,.2f} USD, fees {fees}, net {totals.net_usd:+,.2f}"
    lines = [f"{totals.closed:,} closed: {', '.join(ends)}; {totals.held:,} open{partly}", f"Closed: {money}"]
    if totals.held > totals.unpriced:
        lines.append(f"Open: {totals.open_usd:+,.2f} USD")
    if totals.open_fees_usd:
        lines.append(f"Fees so far for open positions: {totals.open_fees_usd:+,.2f} USD, not in any net number yet")
    if totals.unpriced:
        lines.append(
            f"The profit of {totals.unpriced:,} of {totals.held:,} open trades isn't known: no pass saw a price"
        )
    return lines


STOPS = {
    RiskFrom.RESTING: "the first stop at the broker",
    RiskFrom.ENTRY: "the stop that the entry asked for",
}


def _known_r(data: "Trades") -> list[str]:
    closed = [row for row in data.trades if row.status is TradeStatus.CLOSED]
    risks = [row.risk_from for row in closed if row.r is not None and row.risk_from]
    if not closed:
        return []
    count = pluralize(len(closed), "closed trade")
    if not risks:
        return [f"R isn't known for {count}: no stop is on record"]
    which = f"{len(risks):,} of {count}" if len(risks) < len(closed) else count
    sources = [source for source in RiskFrom if source in risks]
    if len(sources) == 1:
        return [f"R is known for {which}, from {STOPS[sources[0]]}"]
    parts = (f"{risks.count(source):,} from {STOPS[source]}" for source in sources)
    return [f"R is known for {which}: {', '.join(parts)}"]
