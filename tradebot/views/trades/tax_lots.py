"""Tax lots and wash sales: which shares a sale closes, across the account. US rules, for individuals.

Source for lots: Treasury Regulation 1.1012-1(c), the earliest lot unless other shares are identified in time.

Sources for wash sales: Internal Revenue Code sections 1091 and 1223(3), Treasury Regulations 1.1091-1 and 1.1091-2, IRS
Publication 550 (2024), "Wash Sales", and Rev. Rul. 56-602 for shares of the purchase that was sold. A loss is
disallowed to the extent that the same shares are bought within 30 days before or after the sale. It is added to the
basis of these shares, whose holding period then includes that of the shares sold. Losses are matched in the order of
the sales, with purchases in the order in which they were made; each share bought replaces one share sold. The same
applies to short sales, section 1091(e). No source we know covers two more cases. We assume that shares that were sold
again before the loss replace nothing, and neither do purchases that close a short sale.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from itertools import groupby

from msgspec import Struct, field

from tradebot.model.struct_tools import replace
from tradebot.views.trades.account_trades import AccountTrade

_ONE_DAY = timedelta(days=1)


class Method(StrEnum):
    """Which lots a sale closes first: the oldest, the newest, or those with the highest cost.

    HIFO is specific identification of the shares with the highest basis; for short positions, of those sold lowest.
    """

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"


class TaxLot(Struct, frozen=True, dict=True):
    """Shares that were bought, or sold short, in one trade: signed, and adjusted for splits.

    `opening` is the trade that opened it; it is None for shares that were in the account before the books began, so
    their date and cost aren't known. `fee_usd` is that trade's fee, in USD per share: it adds to the cost, or is taken
    off the proceeds (IRS Publication 550, 2024, "Stocks and Bonds"). `carried_usd` are the losses that wash sales added
    to its basis. `tacked_days` is the holding time of the shares that were sold at these losses, which counts as
    holding time of this lot. `replaced` is True if the lot already replaces shares sold at a loss.
    """

    symbol: str
    quantity: Fraction
    opening: AccountTrade | None
    fee_usd: Fraction = Fraction(0)
    carried_usd: Fraction = Fraction(0)
    tacked_days: int = 0
    replaced: bool = False

    @cached_property
    def share_usd(self) -> Fraction | None:
        """Return a share's cost with its fee, or its short proceeds after the fee, in USD; None if unknown."""
        return self.opening.share_usd(self.sign * self.fee_usd) if self.opening else None

    @cached_property
    def opened_on(self) -> date | None:
        """Return the trade date; None if unknown.

        Shares that an accepted plan added have no known date, because they were bought before the plan.
        """
        return self.opening.day if self.opening is not None and self.share_usd is not None else None

    @property
    def held_from(self) -> date | None:
        """Return the date from which the holding period counts, including the time added by wash sales."""
        return self.opened_on and self.opened_on - self.tacked_days * _ONE_DAY

    @property
    def sign(self) -> int:
        return 1 if self.quantity > 0 else -1

    def part(self, quantity: Fraction) -> "TaxLot":
        """Return a piece of the lot of this many signed shares, with its proportion of the carried losses."""
        if quantity == self.quantity:
            return self
        return replace(self, quantity=quantity, carried_usd=self.carried_usd * quantity / self.quantity)

    def join(self, other: "TaxLot") -> "TaxLot":
        return replace(self, quantity=self.quantity + other.quantity, carried_usd=self.carried_usd + other.carried_usd)


def in_order(lots: Sequence[TaxLot], method: Method) -> list[TaxLot]:
    """Return open lots, given oldest first, in the order in which a sale closes them; HIFO takes unknown costs last."""
    match method:
        case Method.FIFO:
            return list(lots)
        case Method.LIFO:
            return list(reversed(lots))
        case Method.HIFO:
            return sorted(lots, key=_costliest_first)


def _costliest_first(lot: TaxLot) -> tuple[bool, Fraction]:
    if lot.share_usd is None:
        return True, Fraction(0)
    return False, -lot.sign * lot.share_usd - lot.carried_usd / abs(lot.quantity)


def take_lots(lots: Sequence[TaxLot], quantity: Fraction, method: Method) -> tuple[list[TaxLot], list[TaxLot]]:
    """Split lots, given oldest first, into the pieces that a sale of this many shares closes, and the remaining lots.

    The pieces are in the order in which the method closes them.
    """
    pieces, remaining = list[TaxLot](), {id(lot): lot for lot in lots}
    for lot in in_order(lots, method):
        if not quantity:
            break
        closed = min(quantity, abs(lot.quantity))
        quantity -= closed
        pieces.append(lot.part(closed * lot.sign))
        rest = lot.quantity - closed * lot.sign
        if rest:
            remaining[id(lot)] = lot.part(rest)
        else:
            del remaining[id(lot)]
    return pieces, list(remaining.values())


def is_long_term(held_from: date, sold: date) -> bool:
    """Return True if shares were held for more than one year, counted from the day after the purchase.

    Sources: IRS Publication 550 (2024), "Holding Period"; Rev. Rul. 66-97 for trade dates; Rev. Rul. 66-7 for the ends
    of months. So shares bought on 2023-02-28 are long-term from 2024-03-01 on, and those of 2024-02-28 from 2025-03-01
    on.
    """
    first = held_from + _ONE_DAY
    leap_day = (first.month, first.day) == (2, 29)
    return sold >= (date(first.year + 1, 3, 1) if leap_day else first.replace(year=first.year + 1))


WINDOW = timedelta(days=30)
_ZERO = Fraction(0)


class Sale(Struct, dict=True):
    """A piece of a lot and the trade that closed it; shares are today's, and money is exact USD.

    `fee_usd` is the closing trade's fee per share. `washed` is how many of its shares, unsigned, were bought again,
    `disallowed_usd` the loss on these, and `replacements` the ids of the fills that bought them.
    """

    lot: TaxLot
    closing: AccountTrade
    fee_usd: Fraction
    washed: Fraction = _ZERO
    disallowed_usd: Fraction = _ZERO
    replacements: list[str] = field(default_factory=list)

    @property
    def shares(self) -> Fraction:
        return abs(self.lot.quantity)

    @property
    def bought_usd(self) -> Fraction | None:
        """Return the cost with fees and losses added by wash sales; None if unknown."""
        share_usd = self.lot.share_usd if self.lot.sign > 0 else self._closed_usd
        return None if share_usd is None else share_usd * self.shares + self.lot.carried_usd

    @property
    def sold_usd(self) -> Fraction | None:
        """Return the proceeds after fees; None if unknown."""
        share_usd = self.lot.share_usd if self.lot.sign < 0 else self._closed_usd
        return None if share_usd is None else share_usd * self.shares

    @property
    def _closed_usd(self) -> Fraction | None:
        """Return a share's closing value with its fee: the cost for a purchase, the proceeds for a sale."""
        return self.closing.share_usd(-self.lot.sign * self.fee_usd)

    @cached_property
    def gain_usd(self) -> Fraction | None:
        """Return the gain, negative for a loss, before disallowed losses; None if unknown."""
        bought, sold = self.bought_usd, self.sold_usd
        return None if bought is None or sold is None else sold - bought

    @property
    def unmatched_loss(self) -> bool:
        """Return True if the sale is a loss and not all of its shares are known to have been bought again."""
        return self.gain_usd is not None and self.gain_usd < 0 and self.washed < self.shares


class _Symbol(Struct):
    """The account's lots of a symbol, oldest first, and all its sales so far, in order of time."""

    method: Method
    lots: list[TaxLot]
    sales: list[Sale] = field(default_factory=list)
    waiting: list[Sale] = field(default_factory=list)

    def trade(self, order: Sequence[tuple[AccountTrade, Fraction]]) -> None:
        """Apply the fills of one order on one day, with their fees per share; then find wash sales."""
        sales = list[Sale]()
        for trade, fee in order:
            unmatched = trade.quantity
            if self.lots and self.lots[0].quantity * unmatched < 0:
                closed = min(abs(unmatched), abs(sum((lot.quantity for lot in self.lots), _ZERO)))
                pieces, self.lots = take_lots(self.lots, closed, self.method)
                sales += [Sale(piece, trade, fee) for piece in pieces]
                unmatched += sum((piece.quantity for piece in pieces), _ZERO)
            if unmatched:
                self._open(TaxLot(trade.symbol, unmatched, trade, fee))
        self.sales += sales
        for sale in sales:
            if sale.unmatched_loss:
                self._match_earlier(sale)
                self.waiting.append(sale)

    def _open(self, lot: TaxLot) -> None:
        """Add a lot; it replaces shares sold at a loss within the window before."""
        opened = lot.opened_on
        self.waiting = [s for s in self.waiting if s.unmatched_loss and opened and opened - s.closing.day <= WINDOW]
        replacing, rest = list[TaxLot](), [lot]
        for sale in self.waiting:
            if opened and rest and sale.lot.sign == lot.sign:
                part, *rest = _replace(sale, rest[0])
                replacing.append(part)
        self.lots += [*_join_lots(replacing), *rest]

    def _match_earlier(self, sale: Sale) -> None:
        """Match a loss with shares that are still open and were bought in the window before it."""
        lots = list[TaxLot]()
        for lot in self.lots:
            lots += _replace(sale, lot) if sale.unmatched_loss and _replaces(lot, sale) else [lot]
        self.lots = _join_lots(lots)


def _join_lots(lots: Sequence[TaxLot]) -> list[TaxLot]:
    """Return lots with the pieces of one purchase joined if they replace shares that were held equally long."""
    # These lots are equivalent, so their shares can share the carried loss. Otherwise every loss would split lots
    # further.
    by_key: dict[object, TaxLot] = {}
    for lot in lots:
        key: object = (lot.opening.fill.activity_id, lot.tacked_days) if lot.opening and lot.replaced else id(lot)
        joined = by_key.get(key)
        by_key[key] = joined.join(lot) if joined else lot
    return list(by_key.values())


def _replaces(lot: TaxLot, sale: Sale) -> bool:
    """Return True if an open lot was bought in the window before a sale, and not in the purchase that was sold."""
    if lot.replaced or lot.opened_on is None or lot.opening is None or lot.sign != sale.lot.sign:
        return False
    same_purchase = sale.lot.opening is not None and lot.opening.purchase == sale.lot.opening.purchase
    return not same_purchase and sale.closing.day - lot.opened_on <= WINDOW


def _replace(sale: Sale, lot: TaxLot) -> list[TaxLot]:
    """Carry a loss into as many shares of a lot as were sold at it; return these, and the rest of the lot."""
    gain_usd, held_from, opening = sale.gain_usd, sale.lot.held_from, lot.opening
    assert gain_usd is not None, "a loss is known"
    assert held_from is not None, "the date of the sale is known"
    assert opening is not None, "the date of the replacement is known"
    shares = min(sale.shares - sale.washed, abs(lot.quantity))
    loss = -gain_usd * shares / sale.shares
    sale.washed += shares
    sale.disallowed_usd += loss
    sale.replacements.append(opening.fill.activity_id)
    tacked_days = (sale.closing.day - held_from).days
    carried = replace(lot.part(shares * lot.sign), carried_usd=loss, tacked_days=tacked_days, replaced=True)
    rest = lot.quantity - shares * lot.sign
    return [carried, lot.part(rest)] if rest else [carried]


class Matched(Struct, frozen=True):
    """All sales of an account, in closing order, and the open lots."""

    sales: tuple[Sale, ...]
    lots: tuple[TaxLot, ...]


def match_lots(
    trades: Iterable[tuple[AccountTrade, Fraction]], held_before: Iterable[TaxLot], method: Method
) -> Matched:
    """Match an account's trades, each with its fee in USD per share, in the order of time."""
    symbols = {lot.symbol: _Symbol(method, [lot]) for lot in held_before}
    by_symbol: dict[str, list[tuple[AccountTrade, Fraction]]] = {}
    for trade in trades:
        by_symbol.setdefault(trade[0].symbol, []).append(trade)
    for symbol, of_symbol in by_symbol.items():
        state = symbols.setdefault(symbol, _Symbol(method, []))
        for _, order in groupby(of_symbol, key=lambda each: (each[0].purchase, each[0].day)):
            state.trade(list(order))
    sales = (sale for state in symbols.values() for sale in state.sales)
    in_time = sorted(sales, key=lambda sale: (sale.closing.fill.at, sale.lot.symbol))
    return Matched(tuple(in_time), tuple(lot for state in symbols.values() for lot in state.lots))
