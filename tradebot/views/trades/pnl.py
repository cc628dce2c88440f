"""Profit and loss of any days by day, week, month, strategy, symbol, hour, exit reason, or entry component."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, cached_property, partial
from itertools import chain
from operator import attrgetter
from typing import Any

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.instrument import CURRENCY
from tradebot.model.order import Fill
from tradebot.model.position import EntryTerms, OwnedFill
from tradebot.model.sentences import pluralize
from tradebot.views.trades.history import NOT_OURS
from tradebot.views.trades.pieces import (
    ACCOUNT,
    Breakdown,
    DayEnd,
    EquityAround,
    ProfitKind,
    ProfitPiece,
    equity_before_and_after,
    is_booked_after,
    value_at,
)
from tradebot.views.trades.trade_row import Choice, rule_of, why_closed

HELD, NOT_KNOWN, NONE_AGREED = "still held", "not known", "none agreed"
"""Names of rows: open positions, values that weren't recorded, and entries with which no component agreed.

The first has the gains of open positions, which have no exit yet. In the last, all components of an entry disagreed
with its side, or were neutral.
"""
CENT = Decimal("0.01")
_ZERO = Decimal(0)


class ProfitGrouping(StrEnum):
    """The ways to group profit."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    HOUR = "hour"
    REASON = "reason"
    COMPONENT = "component"


IN_TIME = frozenset({ProfitGrouping.DAY, ProfitGrouping.WEEK, ProfitGrouping.MONTH})
"""Groupings whose rows are spans of days."""


PARTS = ("realized", "open", "fees", "dividends", "interest", "funding", "other")
"""The parts of profit, by the names of its fields without `_usd`."""


class ProfitPart(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of the profit, in signed USD, by component.

    `realized_usd` is the profit of closed lots before fees, `open_usd` the change in the gain of open positions.
    """

    name: str
    realized_usd: Decimal
    open_usd: Decimal
    fees_usd: Decimal
    dividends_usd: Decimal
    interest_usd: Decimal
    other_usd: Decimal
    total_usd: Decimal
    funding_usd: Decimal = Decimal(0)


class ProfitRow(ProfitPart, frozen=True, omit_defaults=True, kw_only=True):
    """A part of the profit, and how many of the bot's positions ended in it.

    `unpriced` are symbols without a price at the end of the row's days: their gain since the last price is in the row
    of the day on which the next price is known.
    """

    trades_closed: int
    unpriced: tuple[str, ...]


class EquityComparison(Struct, frozen=True):
    """The last equity that the broker reported, and the books' value at the same moment, in USD.

    The difference is the broker's equity minus the books', to the cent. `held` counts the positions that are in both
    values. `unpriced` are the symbols that the books value at their cost. `left_out` are the shares that the broker's
    equity includes and the books' value doesn't.
    """

    at: datetime
    broker_usd: Decimal
    books_usd: Decimal
    difference_usd: Decimal
    held: int
    unpriced: tuple[str, ...]
    left_out: Mapping[str, Decimal]


class Pnl(Struct, frozen=True, omit_defaults=True):
    """Profit and loss of some days, by rows that add up to `total`.

    `profit_usd` is the account's profit according to the broker's equity, if a pass read that. `difference_usd` is the
    part of it that the books don't explain, to the cent. `first` and `last` are the first and the last of these days
    with data; None without any. The account's value before and after is cash plus positions, in USD; the change minus
    the transfers is the total. Both values are None if there is no data for these days, or if only a strategy or a
    symbol was selected. `unknown_fees` counts the fills whose fee isn't known yet, and `other_fees` are fees in
    currencies other than the books', unsigned by currency: neither is included in these amounts.
    """

    by: str
    first: date | None
    last: date | None
    rows: tuple[ProfitRow, ...]
    total: ProfitRow
    profit_usd: Decimal
    difference_usd: Decimal
    transfers_usd: Decimal
    before_usd: Decimal | None
    after_usd: Decimal | None
    compared: EquityComparison | None
    unknown_fees: int = 0
    other_fees: Mapping[str, Decimal] = {}


ALL = Choice()


def pnl(breakdown: Breakdown, by: ProfitGrouping, choice: Choice = ALL) -> Pnl:
    profit = ProfitReport(breakdown, choice)
    before, after = profit.values_usd
    return Pnl(
        by=by.value,
        first=profit.ends[0].day if profit.ends else None,
        last=profit.ends[-1].day if profit.ends else None,
        rows=profit.rows(by),
        total=profit.total,
        profit_usd=profit.usd,
        difference_usd=profit.difference_usd,
        transfers_usd=profit.transfers_usd,
        before_usd=before,
        after_usd=after,
        compared=profit.equity_comparison,
        unknown_fees=profit.fees_left_out[0],
        other_fees=profit.fees_left_out[1],
    )


class ProfitReport:
    """The profit of a selection, as a total and in rows by any grouping. `ends` has the account at each day's end."""

    def __init__(self, breakdown: Breakdown, choice: Choice = ALL) -> None:
        self._known, self._choice = breakdown, choice
        self.ends = [end for end in breakdown.ends if choice.days.includes(end.day)]
        every = choice == ALL
        chosen = [piece for piece in breakdown.pieces if every or choice.has(piece.strategy, piece.symbol, piece.day)]
        self._of_kind = {kind: [piece for piece in chosen if piece.kind is kind] for kind in ProfitKind}
        self._names = _Namer(breakdown)
        self.transfers_usd = sum((piece.usd for piece in self._of_kind.pop(ProfitKind.TRANSFERS)), _ZERO)

    @cached_property
    def total(self) -> ProfitRow:
        sums = {kind: sum((piece.usd for piece in pieces), _ZERO) for kind, pieces in self._of_kind.items()}
        ended = sum(piece.ended for piece in self._of_kind[ProfitKind.REALIZED])
        return _row("total", sums, ended, _of_choice(self.ends[-1:], self._choice))

    @cached_property
    def worth(self) -> EquityAround | None:
        """Return the broker's equity around these days; None for part of an account, or if the reading is too old."""
        history = self._known.history
        equity = (
            equity_before_and_after(history.ends, history.opening_usd, self._choice.days)
            if self._choice.whole
            else None
        )
        return equity if equity and self.ends and history.day.date_of(equity.at) >= self.ends[-1].day else None

    @property
    def difference_usd(self) -> Decimal:
        """Return the part of the profit that the books don't explain, because of other prices or missing bookings."""
        if self.worth is None:
            return _ZERO
        broker_profit = self.worth.after_usd - self.worth.before_usd - self.transfers_usd
        return (broker_profit - self.total.total_usd).quantize(CENT) + _ZERO

    @property
    def usd(self) -> Decimal:
        """Return the total profit of these days."""
        total, rest = self.total.total_usd, self.difference_usd
        return total + rest if rest else total

    @property
    def values_usd(self) -> tuple[Decimal | None, Decimal | None]:
        """Return the account's value before these days and at their end in USD; None where unknown."""
        if not self._choice.whole or not self.ends:
            return None, None
        values, first = self._known, self.ends[0].day
        before = next((end.value_usd for end in reversed(values.ends) if end.day < first), values.history.opening_cash)
        return before, self.ends[-1].value_usd

    @property
    def equity_comparison(self) -> EquityComparison | None:
        """Compare the books with the last equity that the broker reported in these days.

        Return None for part of an account, or if no pass read the equity.
        """
        history = self._known.history
        for end in reversed(history.ends if self._choice.whole else ()):
            if end.equity is not None and end.equity_at is not None and self._choice.days.includes(end.session):
                books = value_at(history, end.equity_at, end.marks)
                return EquityComparison(
                    at=end.equity_at,
                    broker_usd=end.equity,
                    books_usd=books.value_usd,
                    difference_usd=(end.equity - books.value_usd).quantize(CENT) + _ZERO,
                    held=len(books.gains),
                    unpriced=tuple(sorted(books.unpriced)),
                    left_out={symbol: shares for symbol, shares in history.acknowledged.items() if shares},
                )
        return None

    @property
    def is_equity_outdated(self) -> bool:
        """Return True if the books changed after the broker last reported the equity."""
        compared = self.equity_comparison
        return compared is not None and is_booked_after(self._known.history, compared.at, self._choice.days)

    @cached_property
    def fees_left_out(self) -> tuple[int, Mapping[str, Decimal]]:
        """Return how many fills have a fee that isn't known yet, and the fees in other currencies, by currency."""
        history, others = self._known.history, dict[str, Decimal]()
        for fill in self._chosen_fills(history.owned_fills):
            if fill.fee and fill.fee.amount and fill.fee.currency != CURRENCY:
                others[fill.fee.currency] = others.get(fill.fee.currency, _ZERO) + fill.fee.amount
        return len(self._chosen_fills(history.fills_awaiting_fee)), others

    def _chosen_fills(self, fills: Iterable[OwnedFill]) -> Collection[Fill]:
        """Return the selected fills that carry a fee, known or not, each once."""
        date_of = self._known.history.day.date_of
        charged = ((fill.strategy, fill.fill) for fill in fills if fill.fill.fee)
        chosen = (fill for owner, fill in charged if self._choice.has(owner, fill.symbol, date_of(fill.at)))
        return {fill.activity_id: fill for fill in chosen}.values()

    def rows(self, by: ProfitGrouping) -> tuple[ProfitRow, ...]:
        """Return the rows of a grouping, which add up to the total."""
        name_of, sums, ended = self._names.of(by), dict[ProfitKind, dict[str, Decimal]](), Counter[str]()
        for kind, pieces in self._of_kind.items():
            of_kind = sums[kind] = {}
            for piece in pieces:
                name = name_of(piece)
                of_kind[name] = of_kind.get(name, _ZERO) + piece.usd
                if piece.ended:
                    ended[name] += 1
        # If the rows are ranges of days, each one reports what has no price at the end of its last day.
        ends = {_day_name(by, end): end for end in self.ends} if by in IN_TIME else {}
        profit_rows = list[ProfitRow]()
        for name in {*chain(*sums.values()), *(ends if self._choice.whole else ())}:
            parts = {kind: of_kind.get(name, _ZERO) for kind, of_kind in sums.items()}
            row = _row(name, parts, ended[name], _of_choice([ends[name]] if name in ends else [], self._choice))
            profit_rows += [row] if name != HELD or row.open_usd or row.total_usd else []
        return tuple(sorted(profit_rows, key=lambda row: _sort_key(by, row)))


def fees_not_counted(unknown: int, others: Mapping[str, Decimal]) -> Iterator[str]:
    """Yield sentences about fees that amounts in USD don't include."""
    if unknown:
        yield f"Not known yet: the fees of {pluralize(unknown, 'fill')}. Profit doesn't include them."
    for currency, amount in others.items():
        yield f"Fees of {amount:f} {currency} were charged too; no amount in USD includes them."


def _of_choice(ends: Iterable[DayEnd], choice: Choice) -> tuple[str, ...]:
    return tuple(sorted(s for end in ends for s in end.unpriced if choice.symbol in (None, s)))


def _row(name: str, sums: Mapping[ProfitKind, Decimal], trades: int, unpriced: tuple[str, ...]) -> ProfitRow:
    parts: dict[str, Any] = {f"{part}_usd": sums[ProfitKind(part)] for part in PARTS}
    return ProfitRow(name=name, total_usd=sum(sums.values(), _ZERO), trades_closed=trades, unpriced=unpriced, **parts)


_LAST = (HELD, NONE_AGREED, NOT_KNOWN, NOT_OURS, ACCOUNT)
"""Rows that are listed below the others, in this order."""


def _sort_key(by: ProfitGrouping, row: ProfitRow) -> tuple[int, Decimal, str]:
    """Return a row's sort key: times in order, others from best to worst, and rows without a name last."""
    last = _LAST.index(row.name) + 1 if row.name in _LAST else 0
    return last, _ZERO if by in IN_TIME or by is ProfitGrouping.HOUR else -row.total_usd, row.name


def _day_name(by: ProfitGrouping, piece: ProfitPiece | DayEnd) -> str:
    if by is ProfitGrouping.WEEK:
        year, week, _ = piece.day.isocalendar()
        return f"{year}-W{week:02}"
    return f"{piece.day:%Y-%m}" if by is ProfitGrouping.MONTH else piece.day.isoformat()


class _Namer:
    """Names the row of each piece, and caches names that take long to find."""

    def __init__(self, breakdown: Breakdown) -> None:
        self._history = breakdown.history
        self._rule = cache(rule_of)
        self._entry = cache(lambda trade, side: entry_component(breakdown.history.kept.get(trade, EntryTerms()), side))

    def of(self, by: ProfitGrouping) -> Callable[[ProfitPiece], str]:
        names: Mapping[ProfitGrouping, Callable[[ProfitPiece], str]] = {
            ProfitGrouping.STRATEGY: attrgetter("strategy"),
            ProfitGrouping.SYMBOL: attrgetter("symbol"),
            ProfitGrouping.HOUR: self._hour,
            ProfitGrouping.REASON: self._reason,
            ProfitGrouping.COMPONENT: self._component,
        }
        return names.get(by) or partial(_day_name, by)

    def _hour(self, piece: ProfitPiece) -> str:
        if piece.lot is None:
            return ACCOUNT if piece.trade is None else HELD
        return f"{self._history.day.local(piece.lot.closed_at):%H}:00"

    def _reason(self, piece: ProfitPiece) -> str:
        if piece.strategy == NOT_OURS:
            return NOT_OURS
        if piece.lot is None:
            return ACCOUNT if piece.trade is None else HELD
        return self._rule(why_closed(piece.lot, self._history.sent))

    def _component(self, piece: ProfitPiece) -> str:
        if piece.strategy == NOT_OURS:
            return NOT_OURS
        if piece.trade is None or piece.side is None:
            return ACCOUNT
        return self._entry(piece.trade, piece.side)


def entry_component(entry_terms: EntryTerms, side: Side) -> str:
    """Return the component that contributed most to an entry's direction: the largest value times weight."""
    spoke = [
        (component.value * component.weight * side.sign, component.name)
        for component in entry_terms.components
        if component.value is not None
    ]
    if not spoke:
        return NOT_KNOWN
    most, name = max(spoke)
    return name if most > 0 else NONE_AGREED
