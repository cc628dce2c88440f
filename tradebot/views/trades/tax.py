"""An account's sales of one year for the US tax office: a row for each lot sold, as on Form 8949."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from msgspec import Struct

from tradebot.model.account import ActivityKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.position import NINE_PLACES
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.account_trades import AccountTrade, AccountTrades, account_trades
from tradebot.views.trades.fees import allocate_fees, fill_times
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import OpenLot, open_lot
from tradebot.views.trades.tax_lots import WINDOW, Matched, Method, Sale, TaxLot, is_long_term, match_lots

_CENT = Decimal("0.01")
_ZERO = Decimal(0)
CHARGED_ON_TRADES = frozenset({ActivityKind.FEE, ActivityKind.COMMISSION})
"""Commissions, and the fees that the SEC and FINRA charge for sales."""


class HoldingPeriod(StrEnum):
    """The holding period: up to one year, or longer. Short sales are short-term."""

    SHORT = "short"
    LONG = "long"
    NOT_KNOWN = "not known"


class TaxRow(Struct, frozen=True):
    """A lot that was sold, in USD to the cent; None means unknown. Shares and symbol are as of the day of the sale.

    `acquired` is the trade date of the purchase; for a short sale, both `acquired` and `sold` are the date it was
    closed. `fees_usd` are the fees of the sale, which are taken off `proceeds_usd`, and those of the purchase, which
    are included in `basis_usd`. Losses carried over from wash sales are included in `basis_usd` too. If the same shares
    were bought again within 30 days, `code` is W, and `adjustment_usd` is the disallowed part of the loss. The gain is
    proceeds - basis + adjustment. `held_from` differs from `acquired` if a wash sale lengthened the holding period.
    `strategy` is the strategy that owned the shares, or empty if the trade isn't the bot's. `lot`, `sale` and
    `replaced_by` are fill ids.
    """

    description: str
    acquired: date | None
    sold: date
    proceeds_usd: Decimal | None
    basis_usd: Decimal | None
    code: str
    adjustment_usd: Decimal
    gain_usd: Decimal | None
    term: HoldingPeriod
    held_from: date | None
    symbol: str
    side: Side
    shares: Decimal
    fees_usd: Decimal
    strategy: str
    lot: str
    sale: str
    replaced_by: tuple[str, ...]


class TermTotal(Struct, frozen=True):
    """The sums of the short-term or of the long-term rows with a known gain, and the number of other rows."""

    term: HoldingPeriod
    rows: int
    not_known: int
    proceeds_usd: Decimal
    basis_usd: Decimal
    adjustment_usd: Decimal
    gain_usd: Decimal


class TaxYear(Struct, frozen=True):
    """The sales of a year by the venue's trade date, short-term ones first, with notes for the filer.

    `begun` is the day on which the books began, and `until` the last day in them. `carried_usd` are disallowed losses
    in the basis of shares still open. `undecided` counts losses of the year that a purchase after `until` may still
    disallow. `near_short_losses` counts losses on short sales within 30 days of a sale of shares that had been bought.
    `other_kinds` are the symbols of fills that aren't in shares. `returns_capital` says whether any payment was a
    return of capital. `contracts` are the symbols of rows in contracts with a multiplier, and `unknown_fees` counts the
    fills of rows whose fee isn't known yet.
    """

    year: int
    method: Method
    rows: tuple[TaxRow, ...]
    totals: tuple[TermTotal, ...]
    begun: date | None
    until: date | None
    carried_usd: Decimal
    undecided: int
    near_short_losses: int
    other_kinds: tuple[str, ...]
    returns_capital: bool
    contracts: tuple[str, ...]
    unknown_fees: int

    def of(self, strategy: str | None, symbol: str | None) -> "TaxYear":
        """Return the year with only the rows of one strategy, of one symbol, or of both; None selects all."""
        rows = tuple(row for row in self.rows if strategy in (None, row.strategy) and symbol in (None, row.symbol))
        return replace(self, rows=rows, totals=totals(rows))


def tax_year(history: History, year: int, method: Method) -> TaxYear:
    """Return the sales of a year.

    They are computed from all trades of the account, because lots and wash sales don't stop at a year's end.
    """
    account = account_trades(history)
    all_sales = sales_of(account, history.movements, method, history.day)
    of_year = [sale for sale in all_sales.sales if sale.closing.day.year == year]
    rows = sorted(map(_row, of_year), key=lambda row: (list(HoldingPeriod).index(row.term), row.sold))
    last = max((trade.fill.at for trade in account.trades), default=history.opened_at)
    awaited = {owned.fill.activity_id for owned in history.fills_awaiting_fee}
    until = max((history.day.date_of(at) for at in (history.at, last) if at), default=None)
    return TaxYear(
        year=year,
        method=method,
        rows=tuple(rows),
        totals=totals(rows),
        begun=history.day.date_of(history.opened_at) if history.opened_at else None,
        until=until,
        carried_usd=_cents(sum((lot.carried_usd for lot in all_sales.lots), Fraction(0))),
        undecided=sum(until is not None and s.unmatched_loss and s.closing.day + WINDOW >= until for s in of_year),
        near_short_losses=sum(_sold_near(sale, all_sales.sales) for sale in of_year),
        other_kinds=account.other_kinds,
        returns_capital=any(movement.meaning is ActivityKind.RETURN_OF_CAPITAL for movement in history.cash),
        contracts=tuple(sorted({sale.closing.fill.symbol for sale in of_year if sale.closing.fill.multiplier != 1})),
        unknown_fees=len({name for row in rows for name in (row.lot, row.sale)} & awaited),
    )


def sales_of(account: AccountTrades, cash: Iterable[CashMovement], method: Method, day: VenueDay) -> Matched:
    fees = _fees(cash, account.trades, day)
    before = [TaxLot(symbol, quantity, None) for symbol, quantity in account.held_before.items()]
    charged = ((trade, fees.get(trade.fill.activity_id, Fraction(0))) for trade in account.trades)
    return match_lots(((trade, fee / abs(trade.quantity)) for trade, fee in charged), before, method)


def _fees(cash: Iterable[CashMovement], trades: Iterable[AccountTrade], day: VenueDay) -> Mapping[str, Fraction]:
    priced = [trade for trade in trades if trade.price is not None]
    fees = [movement for movement in cash if movement.meaning in CHARGED_ON_TRADES]
    lots = list(map(_as_lot, priced))
    shared = allocate_fees(fees, lots, fill_times(trade.owned for trade in priced), day)
    return {lot.entry_fill: -Fraction(shared.of(lot)) for lot in lots}


def _as_lot(trade: AccountTrade) -> OpenLot:
    """Return a trade as shares bought or sold short at a known price, which is the form that fees are allocated to."""
    assert trade.price is not None, "fees are allocated only to trades with a price"
    quantity, price = decimal(abs(trade.quantity)), decimal(trade.price)
    return open_lot(replace(trade.owned, fill=replace(trade.fill, symbol=trade.symbol, quantity=quantity, price=price)))


def decimal(value: Fraction) -> Decimal:
    """Round an exact value to nine decimals."""
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(NINE_PLACES).normalize() + _ZERO


def _cents(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_CENT, ROUND_HALF_UP) + _ZERO


def _row(sale: Sale) -> TaxRow:
    lot, closing = sale.lot, sale.closing
    side, unit = Side.BUY if lot.sign > 0 else Side.SELL, "sh." if closing.fill.multiplier == 1 else "contracts"
    shares, symbol = decimal(sale.shares / closing.shares_today), closing.fill.symbol
    proceeds, basis, adjustment, gain = _money(sale)
    return TaxRow(
        description=f"{shares:f} {unit} {symbol}{' sold short' if side is Side.SELL else ''}",
        acquired=lot.opened_on if side is Side.BUY else closing.day,
        sold=closing.day,
        proceeds_usd=proceeds,
        basis_usd=basis,
        code="W" if sale.washed else "",
        adjustment_usd=adjustment,
        gain_usd=gain,
        term=_term(sale),
        held_from=lot.held_from if side is Side.BUY else None,
        symbol=symbol,
        side=side,
        shares=shares,
        fees_usd=_cents((sale.fee_usd + lot.fee_usd) * sale.shares),
        strategy=lot.opening.owned.strategy if lot.opening else "",
        lot=lot.opening.fill.activity_id if lot.opening else "",
        sale=closing.fill.activity_id,
        replaced_by=tuple(dict.fromkeys(sale.replacements)),
    )


def _money(sale: Sale) -> tuple[Decimal | None, Decimal | None, Decimal, Decimal | None]:
    """Return proceeds, basis, adjustment and gain to the cent; the last follows from the others."""
    proceeds = None if sale.sold_usd is None else _cents(sale.sold_usd)
    basis = None if sale.bought_usd is None else _cents(sale.bought_usd)
    if proceeds is None or basis is None:
        return proceeds, basis, _cents(sale.disallowed_usd), None
    # If the whole loss is disallowed, use the rounded difference, so that nothing remains of it.
    adjustment = basis - proceeds if sale.washed == sale.shares else _cents(sale.disallowed_usd)
    return proceeds, basis, adjustment, proceeds - basis + adjustment


def _term(sale: Sale) -> HoldingPeriod:
    if sale.lot.sign < 0:
        return HoldingPeriod.SHORT
    held_from = sale.lot.held_from
    if held_from is None:
        return HoldingPeriod.NOT_KNOWN
    return HoldingPeriod.LONG if is_long_term(held_from, sale.closing.day) else HoldingPeriod.SHORT


def totals(rows: Sequence[TaxRow]) -> tuple[TermTotal, ...]:
    """Return the sums of the short-term and of the long-term rows, if any.

    As on the form, the rounded figures are added.
    """
    return tuple(
        _total(term, of_term) for term in HoldingPeriod if (of_term := [row for row in rows if row.term is term])
    )


def _total(term: HoldingPeriod, rows: Sequence[TaxRow]) -> TermTotal:
    priced = [row for row in rows if row.gain_usd is not None]
    return TermTotal(
        term=term,
        rows=len(rows),
        not_known=len(rows) - len(priced),
        proceeds_usd=sum((row.proceeds_usd or _ZERO for row in priced), _ZERO),
        basis_usd=sum((row.basis_usd or _ZERO for row in priced), _ZERO),
        adjustment_usd=sum((row.adjustment_usd for row in priced), _ZERO),
        gain_usd=sum((row.gain_usd or _ZERO for row in priced), _ZERO),
    )


def _sold_near(sale: Sale, sales: Iterable[Sale]) -> bool:
    """Return True for an unmatched loss of a short sale if shares bought earlier were sold within 30 days of it."""
    if sale.lot.sign > 0 or not sale.unmatched_loss:
        return False
    return any(
        other.lot.sign > 0
        and other.lot.symbol == sale.lot.symbol
        and abs(other.closing.day - sale.closing.day) <= WINDOW
        for other in sales
    )
