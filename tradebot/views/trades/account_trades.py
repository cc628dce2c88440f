"""The account's trades as a broker counts them: those of all owners together, without moves of shares from one owner to
another.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.account import ActivityKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.instrument import notional
from tradebot.model.order import Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import group_simultaneous, renames, split_off_restatement
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.history import NOT_OURS, History

OTHER_KINDS = re.compile(r"[A-Z0-9.]+\d{6}[CP]\d{8}|[A-Z0-9]+/[A-Z0-9]+")
"""Symbols of option contracts and of cryptocurrencies. Only shares are matched."""
_ZERO = Decimal(0)
_MOVES = frozenset({Origin.ADOPTION, Origin.TAKEN_OVER})
# Earlier versions recorded no more specific word for a dividend paid in shares.
_MULTIPLIES = frozenset({ActivityKind.SPLIT, ActivityKind.STOCK_DIVIDEND, ActivityKind.DIVIDEND})


class AccountTrade(Struct, frozen=True):
    """Shares that came into the account or left it, under today's symbol and adjusted for later splits.

    `owned` is the booked fill, with its currently known owner. `day` is the trade date, and `quantity` is signed.
    `price` is in USD per share before fees, or None if unknown: a plan that a person accepted adds or removes shares
    without a trade. `shares_today` is how many of today's shares each share of the fill has become.
    """

    owned: OwnedFill
    symbol: str
    day: date
    quantity: Fraction
    price: Fraction | None
    shares_today: Fraction

    @property
    def fill(self) -> Fill:
        return self.owned.fill

    def share_usd(self, fee_usd: Fraction) -> Fraction | None:
        """Return the cost or proceeds of one share in USD, with a fee per share; None if its price is unknown."""
        multiplier = Fraction(self.fill.multiplier)
        return None if self.price is None else notional(Fraction(1), self.price, multiplier) + fee_usd

    @property
    def purchase(self) -> str:
        """Return the id that identifies a purchase: the order's, or the fill's if no order made it."""
        return self.fill.venue_order_id or self.fill.activity_id


class AccountTrades(Struct, frozen=True):
    """An account's trades in order of time, with the shares and symbols that aren't included in them.

    `held_before` has, by symbol, the signed shares that were in the account before the books began, adjusted for
    splits. `other_kinds` are the symbols of fills that aren't in shares.
    """

    trades: tuple[AccountTrade, ...]
    held_before: Mapping[str, Fraction]
    other_kinds: tuple[str, ...]


class _Split(NamedTuple):
    symbol: str
    ratio: Fraction


class _Moved(NamedTuple):
    """Shares that came without a trade, or left the books but not the account."""

    symbol: str
    quantity: Fraction


class _Traded(NamedTuple):
    owned: OwnedFill
    symbol: str
    price: Decimal | None


_Event = _Split | _Moved | _Traded


def account_trades(history: History) -> AccountTrades:
    shares = [owned for owned in history.fills if not OTHER_KINDS.fullmatch(owned.fill.symbol)]
    others = sorted({owned.fill.symbol for owned in history.fills} - {owned.fill.symbol for owned in shares})
    without_trade = {movement.about: movement for movement in history.cash if movement.origin is Origin.ACTIVITY}
    events = list(_events(_under_last_symbol(_with_last_owner(shares)), without_trade))
    trades, moved = _in_todays_shares(events, history.day)
    for symbol, quantity in history.acknowledged.items():
        if not OTHER_KINDS.fullmatch(symbol):
            moved[symbol] += Fraction(quantity)
    held_before = {symbol: quantity for symbol, quantity in moved.items() if quantity}
    # At the same instant, trades are ordered by the fill's id, not by the order in the books.
    trades.sort(key=lambda trade: (trade.fill.at, trade.quantity < 0, trade.fill.activity_id))
    return AccountTrades(tuple(trades), held_before, tuple(others))


def _with_last_owner(fills: Sequence[OwnedFill]) -> list[OwnedFill]:
    """Return the fills under their final owner, without the fills that moved them there."""
    final_owner = {
        owned.about: owned.strategy for owned in fills if owned.origin is Origin.GIVEN_BACK and owned.strategy
    }
    return [
        replace(owned, strategy=final_owner.get(owned.fill.activity_id, owned.strategy))
        for owned in fills
        if owned.origin is not Origin.GIVEN_BACK
    ]


def _under_last_symbol(fills: list[OwnedFill]) -> list[tuple[str, OwnedFill]]:
    """Return the fills with today's symbol, without those that moved shares to a new symbol."""
    named = [(owned.fill.symbol, owned) for owned in fills]
    # A symbol's new name applies to everyone's shares.
    for rename in renames(replace(owned, strategy=NOT_OURS) for owned in fills if owned.origin is Origin.ACTIVITY):
        named = [
            (rename.new if symbol == rename.old and owned.fill.at <= rename.at else symbol, owned)
            for symbol, owned in named
            if owned.fill.activity_id not in rename.moved
        ]
    return named


def _events(named: Sequence[tuple[str, OwnedFill]], cash: Mapping[str, CashMovement]) -> Iterator[_Event]:
    """Yield the events behind the fills: trades, splits, and shares that came or left without a trade."""
    symbols = {owned.fill.activity_id: symbol for symbol, owned in named}
    quantity_by_owner = defaultdict[tuple[str, str], Decimal](Decimal)
    for group in group_simultaneous([owned for _, owned in named]):
        by_symbol = defaultdict[str, list[OwnedFill]](list)
        for owned in group:
            by_symbol[symbols[owned.fill.activity_id]].append(owned)
        for symbol, fills in by_symbol.items():
            yield from _of_group(symbol, fills, quantity_by_owner, cash)
            for owned in fills:
                quantity_by_owner[owned.strategy, symbol] += owned.fill.signed_quantity


def _of_group(
    symbol: str,
    fills: Sequence[OwnedFill],
    quantity_by_owner: Mapping[tuple[str, str], Decimal],
    cash: Mapping[str, CashMovement],
) -> Iterator[_Event]:
    origin = fills[0].origin
    if origin is Origin.VENUE:
        yield from (_Traded(owned, symbol, owned.fill.price) for owned in fills)
        return
    if origin in _MOVES:
        yield _Moved(symbol, Fraction(_net(fills)))
        return
    by_owner = defaultdict[str, list[OwnedFill]](list)
    for owned in fills:
        by_owner[owned.strategy].append(owned)
    parts = {
        owner: split_off_restatement(quantity_by_owner.get((owner, symbol), _ZERO), each)
        for owner, each in by_owner.items()
    }
    changed = [
        (quantity_by_owner.get((owner, symbol), _ZERO), _net(part)) for owner, (part, _) in parts.items() if part
    ]
    if changed:
        yield _Split(symbol, _ratio(changed))
    rest = [owned for _, traded in parts.values() for owned in traded]
    if origin is not Origin.ACTIVITY:
        yield from _adjustments(symbol, rest)
        return
    for owned in rest:
        movement = None if changed else cash.get(owned.about)
        yield _of_activity(symbol, owned, quantity_by_owner.get((owned.strategy, symbol), _ZERO), movement)


def _net(fills: Iterable[OwnedFill]) -> Decimal:
    return sum((owned.fill.signed_quantity for owned in fills), _ZERO)


def _ratio(changed: Sequence[tuple[Decimal, Decimal]]) -> Fraction:
    """Return how many shares each share became, from each owner's quantity and its change."""
    quantity, change = (sum(each, _ZERO) for each in zip(*changed, strict=True))
    if not quantity:
        # Use only one owner if longs and shorts cancel out.
        quantity, change = changed[0]
    return 1 + Fraction(change) / Fraction(quantity)


def _adjustments(symbol: str, fills: Sequence[OwnedFill]) -> Iterator[_Traded]:
    """Yield the net changes by a plan; shares that it moves between owners cancel out."""
    change = _net(fills)
    if change:
        side = Side.BUY if change > 0 else Side.SELL
        of_side = next(owned for owned in fills if owned.fill.side is side)
        whole = replace(of_side.fill, quantity=abs(change))
        yield _Traded(replace(of_side, fill=whole), symbol, None)


def _of_activity(symbol: str, owned: OwnedFill, held_quantity: Decimal, cash: CashMovement | None) -> _Event:
    """Return the event behind an activity's fill: a sale for cash, a split of others' shares, or a transfer of shares.

    The books hold others' shares at a price even if nobody paid for them; `cash` is the movement that offsets it.
    """
    fill = owned.fill
    if cash is None or cash.amount_usd != fill.notional:
        return _Traded(owned, symbol, fill.price)
    if cash.meaning in _MULTIPLIES and held_quantity and held_quantity + fill.signed_quantity:
        return _Split(symbol, 1 + Fraction(fill.signed_quantity) / Fraction(held_quantity))
    return _Traded(owned, symbol, None)


def _in_todays_shares(events: Sequence[_Event], day: VenueDay) -> tuple[list[AccountTrade], defaultdict[str, Fraction]]:
    """Return the trades, and the shares that came without one by symbol, in today's shares."""
    shares_today = defaultdict[str, Fraction](lambda: Fraction(1))
    trades, moved = list[AccountTrade](), defaultdict[str, Fraction](Fraction)
    for event in reversed(events):
        ratio = shares_today[event.symbol]
        match event:
            case _Split():
                shares_today[event.symbol] = ratio * event.ratio
            case _Moved():
                moved[event.symbol] += event.quantity * ratio
            case _Traded(owned, symbol, price):
                quantity = Fraction(owned.fill.signed_quantity) * ratio
                in_todays = None if price is None else Fraction(price) / ratio
                trades.append(AccountTrade(owned, symbol, day.date_of(owned.fill.at), quantity, in_todays, ratio))
    return trades, moved
