"""Collect an account's history: everything that performance is computed from, read once.

If a position was rolled into later contracts, its trades (one for each contract) form one story.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct, field

from tradebot.exits.exit_reasons import ROLLED_INTO, parse
from tradebot.model.account import CashKind, CashMovement
from tradebot.model.order import fee_id
from tradebot.model.position import FOREIGN, EntryTerms, Key, Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trade import OrderSent, RestedStop, Trade, TradeNote, fills_by_position, renames
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.fees import FeeAllocation, allocate_fees, cash_kind, fee_with, fill_times
from tradebot.views.trades.lots import Lots, Owner, lots_of
from tradebot.views.trades.trade_row import why_closed


class StoryRow(Protocol):
    """The fields of a trade's row that link it to the trade continuing it."""

    id: str
    strategy: str
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime | None
    reasons: tuple[str, ...]


Row = TypeVar("Row", bound=StoryRow)


class StoryLink(NamedTuple):
    """A trade's place in its story: the id of the story's first trade, and the contracts before and after."""

    story: str
    moved_from: str = ""
    moved_into: str = ""


def links(rows: Iterable[StoryRow], day: VenueDay) -> Mapping[str, StoryLink]:
    """Return, by id, the link of each trade that was rolled or that continues a rolled trade.

    A roll is complete by the end of its session. So the rolled trade continues in the first trade of the next contract
    on that date.
    """
    in_order = sorted(rows, key=lambda row: row.opened_at)
    links_found = dict[str, StoryLink]()
    for row in in_order:
        into = _moved_into(row)
        following = next((other for other in in_order if _continues(row, other, into, day)), None) if into else None
        if following is not None:
            link = links_found.get(row.id, StoryLink(row.id))
            links_found[row.id] = link._replace(moved_into=into)
            links_found[following.id] = StoryLink(link.story, row.symbol)
    return links_found


def rolled_positions_of(trades: Iterable[tuple[Trade, Sequence[str]]], day: VenueDay) -> frozenset[Key]:
    """Return the positions that were rolled into the next contract, given all trades and why each was closed.

    They don't count as trades, because their stories continue; a story counts as one trade, in its last contract.
    """
    in_order = list(trades)
    if not any(ROLLED_INTO in reason for _, reasons in in_order for reason in reasons):
        return frozenset()
    keys = {str(number): trade.key for number, (trade, _) in enumerate(in_order)}
    rows = [
        _TradeEnd(name, trade.strategy, trade.symbol, trade.side, trade.opened_at, trade.closed_at, tuple(reasons))
        for name, (trade, reasons) in zip(keys, in_order, strict=True)
    ]
    return frozenset(keys[name] for name, link in links(rows, day).items() if link.moved_into)


def group_by_story(rows: Iterable[Row], day: VenueDay) -> Sequence[tuple[Row, ...]]:
    """Group trades by story, each from its first contract to its last; most are stories of one trade."""
    in_order = sorted(rows, key=lambda row: row.opened_at)
    of, by_story = links(in_order, day), dict[str, list[Row]]()
    for row in in_order:
        by_story.setdefault(of[row.id].story if row.id in of else row.id, []).append(row)
    return [tuple(story) for story in by_story.values()]


class _TradeEnd(Struct):
    """The fields of a trade that linking it to the next one needs."""

    id: str
    strategy: str
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime | None
    reasons: tuple[str, ...]


def _continues(row: StoryRow, before: StoryRow, into: str, day: VenueDay) -> bool:
    same = (before.strategy, before.symbol, before.side) == (row.strategy, into, row.side)
    ended = row.closed_at
    return (
        same and ended is not None and before.opened_at >= ended and day.date_of(before.opened_at) == day.date_of(ended)
    )


def _moved_into(row: StoryRow) -> str:
    """Return the contract that a trade was rolled into, by its exit reason; empty if it wasn't rolled."""
    for reason in row.reasons:
        with suppress(ValueError):
            for part in parse(reason):
                if part.name == ROLLED_INTO:
                    return part.symbol
    return ""


NOT_OURS = "not the bot's"

"""The owner of other people's, or other programs', trades in the account."""

FOUND = frozenset({Origin.PLAN, Origin.ADOPTION, Origin.TAKEN_OVER})

"""Origins of fills for shares that may be older than the books."""


class History(Struct, frozen=True, dict=True):
    """The complete books of one account, with other recorded data. Cash and prices are in USD.

    `day` is the venue's: it maps a moment to its day. `fills` are in the order of the books, oldest first, and so are
    `cash` and `ends`. `sent` is by the venue's order id. `kept` and `notes` are by position: strategy, symbol and
    opening time. `at` is the last recorded trading time, and `marks` are the last prices known then; None and empty if
    nothing has been recorded. `acknowledged` are others' positions without a price in the books, as signed shares by
    symbol. `stops` are in sending order.
    """

    account: str
    mode: str
    day: VenueDay
    opened_at: datetime | None
    opening_cash: Decimal
    fills: tuple[OwnedFill, ...] = ()
    cash: tuple[CashMovement, ...] = ()
    ends: tuple[SessionEnd, ...] = ()
    sent: Mapping[str, OrderSent] = field(default_factory=dict)
    kept: Mapping[Key, EntryTerms] = field(default_factory=dict)
    notes: Mapping[Key, TradeNote] = field(default_factory=dict)
    at: datetime | None = None
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    acknowledged: Mapping[str, Decimal] = field(default_factory=dict)
    stops: tuple[RestedStop, ...] = ()
    settlement: Settlement = Settlement.PAID

    @property
    def opening_usd(self) -> Decimal | None:
        """Return the account's value when its books were opened; None if unknown, or if it may have had positions."""
        had_positions = self.acknowledged or any(owned.origin in FOUND for owned in self.fills)
        return None if had_positions or self.opened_at is None else self.opening_cash

    @cached_property
    def lots(self) -> Lots:
        """Return the lots of all positions, computed once; others' are under the name `NOT_OURS`."""
        return lots_of(self.owned_fills)

    @cached_property
    def movements(self) -> tuple[CashMovement, ...]:
        """Return every cash movement except the cost and proceeds of shares: the books' own, and fills' fees."""
        return (*self.cash, *(fee_with(fill.fill) for fill in self.fills if fill.fill.fee and fill.fill.fee.usd))

    @cached_property
    def fills_awaiting_fee(self) -> tuple[OwnedFill, ...]:
        """Return the fills whose fee isn't known yet."""
        unknown = [fill for fill in self.owned_fills if fill.fill.fee and fill.fill.fee.amount is None]
        booked = {movement.about for movement in self.cash} if unknown else frozenset[str]()
        return tuple(owned for owned in unknown if fee_id(owned.fill.activity_id) not in booked)

    @cached_property
    def fees(self) -> FeeAllocation:
        charged = (movement for movement in self.movements if cash_kind(movement) is CashKind.FEE)
        return allocate_fees(charged, (*self.lots.closed, *self.lots.held), fill_times(self.fills), self.day)

    @cached_property
    def rolled_positions(self) -> frozenset[Key]:
        """Return the positions that were rolled into the next contract, where their stories continue."""
        trips = (trip for trip in self.lots.trips if trip.trade.strategy != NOT_OURS)
        return rolled_positions_of(
            ((trip.trade, [why_closed(lot, self.sent) for lot in trip.closed]) for trip in trips), self.day
        )

    @cached_property
    def former_names(self) -> Mapping[Owner, Sequence[str]]:
        """Return the earlier symbols of each renamed position, newest first."""
        fills = self.owned_fills
        if not renames(fills):
            return {}
        raw, names = {owned.fill.activity_id: owned.fill.symbol for owned in fills}, dict[Owner, dict[str, None]]()
        for owner, of_one in fills_by_position(fills).items():
            for owned in sorted(of_one, key=lambda owned: owned.fill.at):
                before = raw[owned.fill.activity_id]
                if before != owner[1]:
                    names.setdefault(owner, {})[before] = None
        return {owner: tuple(reversed(before)) for owner, before in names.items()}

    @cached_property
    def owned_fills(self) -> tuple[OwnedFill, ...]:
        """Return the fills with their owners; fills that aren't ours have the owner `NOT_OURS`, which counts like a
        strategy.

        A fill that the venue made itself belongs to the owners of the lots. If there are several owners, each has a
        part of the fill, with its own id.
        """
        fills = _with_settlements(self.fills) if any(fill.fill.by_venue for fill in self.fills) else self.fills
        return tuple(replace(fill, strategy=NOT_OURS) if fill.strategy == FOREIGN else fill for fill in fills)


def _with_settlements(fills: Sequence[OwnedFill]) -> Iterator[OwnedFill]:
    foreign = {fill.fill.activity_id: fill for fill in fills if fill.fill.by_venue and fill.strategy == FOREIGN}
    allocated_by_symbol = defaultdict[str, Decimal](Decimal)
    for owned in fills:
        if owned.origin is Origin.GIVEN_BACK and owned.strategy != FOREIGN:
            allocated_by_symbol[owned.about] += owned.fill.quantity
    for owned in fills:
        fill, whole = owned.fill, foreign.get(owned.about) if owned.origin is Origin.GIVEN_BACK else None
        if whole and owned.strategy != FOREIGN:
            yield replace(whole, strategy=owned.strategy, fill=replace(whole.fill, quantity=fill.quantity))
        elif not whole and fill.activity_id not in foreign:
            yield owned
        elif not whole and allocated_by_symbol[fill.activity_id] < fill.quantity:
            yield replace(owned, fill=replace(fill, quantity=fill.quantity - allocated_by_symbol[fill.activity_id]))
