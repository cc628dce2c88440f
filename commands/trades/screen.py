"""`trades` for people: a table that fits the terminal, the sums, and what the figures rest on."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from commands.shared.light_helpers import clean
from commands.shared.number_format import duration, format_signed, gain, in_units, slippage_sentences, units, usd
from commands.shared.tables import Column, Table, number, sentence, staying
from commands.shared.times import DAY_MINUTE, MINUTE, stamp, when, zone
from commands.trades.report import Trades
from tradebot.model.text import pluralize
from tradebot.views.trades.trade_row import SHORT, EntrySource, RiskFrom, TradeStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradebot.views.trades.trade_row import Excursion, LotRow, TradeRow, TradeTotals

SHOWN = 200
"""How many rows a screen shows; the file of --csv and the JSON document have them all."""


def show(console: "Console", data: "Trades", *, by_lot: bool) -> None:
    """Print the chosen trades or lots, the sums, and the assumptions."""
    at = f" at {when(data.as_of)}" if data.as_of else ""
    span = "".join(f" {word} {day}" for word, day in (("from", data.from_date), ("to", data.to_date)) if day)
    console.print(f"{len(data.trades):,} of {pluralize(data.known, 'trade')}{span}{at}; the broker was not asked")
    if not data.known:
        console.print("Nothing was bought yet. Next: tradebot trade-once, then tradebot why-no-orders", markup=False)
        return
    if not data.trades and not data.lots:
        console.print("No trade is like that. Next: tradebot trades shows all of them", markup=False)
        return
    rows = data.lots if by_lot else data.trades
    if len(rows) > SHOWN:
        console.print(f"Showing the last {SHOWN:,}; --from, --symbol, --csv or --json shows others", markup=False)
    if by_lot:
        _lots(console, data.lots[-SHOWN:])
    else:
        _trades(console, data.trades[-SHOWN:])
    for line in (*_sums(data.totals), *_known_r(data), *_slippage(data)):
        console.print(line, markup=False)
    for line in map(in_units, data.assumptions):
        console.print(line, markup=False, style="dim")


def _trades(console: "Console", rows: "Sequence[TradeRow]") -> None:
    form, several = _form(rows), len({row.strategy for row in rows}) > 1
    table = _table("net USD", "open", "R", "best", "worst", "score", last=("from", "id", sentence("note", "note")))
    for row in rows:
        table.row(
            *_first(row, _shares(row), form),
            gain(row.net_usd) if row.closed_quantity else "",
            _open(row),
            "" if row.r is None else f"{row.r:+.2f}",
            _went(row.best),
            _went(row.worst),
            "" if row.entry_score is None else format_signed(row.entry_score, 2),
            escape(row.strategy) if several else "",
            escape(", ".join(map(clean, row.reasons))),
            escape(_from(row)),
            row.id,
            Text(clean(" ".join((*(f"#{tag}" for tag in row.tags), row.note)).strip())),
        )
    console.print(table)


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
    return Table(opened, staying("symbol"), *numbers, "strategy", "closed by", *last)


def _first(row: "TradeRow | LotRow", shares: str, form: str) -> tuple[str, ...]:
    held = "" if row.held_s is None else duration(row.held_s)
    prices = usd(row.entry_price, row.symbol), usd(row.exit_price, row.symbol) or "open"
    return stamp(row.opened_at, form), escape(clean(row.symbol)), held, shares, *prices


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
    held = f"{totals.held:,} open" + (f" ({totals.partly_closed:,} closed in part)" if totals.partly_closed else "")
    fees = f"{totals.fees_usd:+,.2f}" if totals.fees_usd or not totals.unknown_fees else "not known yet"
    money = f"gross {totals.gross_usd:+,.2f} USD, fees {fees}, net {totals.net_usd:+,.2f}"
    lines = [f"{totals.closed:,} closed: {', '.join(ends)}; {held}", f"What is closed: {money}"]
    if totals.held > totals.unpriced:
        lines.append(f"What is held: {totals.open_usd:+,.2f} USD")
    if totals.open_fees_usd:
        lines.append(f"Fees so far for what is held: {totals.open_fees_usd:+,.2f} USD, in no net figure yet")
    if totals.unpriced:
        lines.append(f"What {totals.unpriced:,} of {totals.held:,} open trades made isn't known: no pass saw a price")
    return lines


def _known_r(data: "Trades") -> list[str]:
    closed = [row for row in data.trades if row.status is TradeStatus.CLOSED]
    known = [row.risk_from for row in closed if row.r is not None and row.risk_from]
    if not closed:
        return []
    sources = [f"{known.count(source):,} by the {source.value}" for source in RiskFrom if source in known]
    parts = f": {', '.join(sources)}" if sources else "; no stop is on record"
    return [f"R is known for {len(known):,} of {pluralize(len(closed), 'closed trade')}{parts}"]


def _slippage(data: "Trades") -> list[str]:
    return list(slippage_sentences(data.slippage))
