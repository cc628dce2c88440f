"""Parse the trading API's rows: orders, positions, fills, listings, quotes, and rows of the account log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any

from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError
from tradebot.model.account import Activity, ActivityKind, BrokerPosition
from tradebot.model.bar import SUSPENDED, Depth, Level, Quote
from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass, Instrument, Listing, MarginLevel, TickStep
from tradebot.model.order import Fee, Fill, Order, OrderStatus, OrderType, TimeInForce, fee_id
from tradebot.venues.kraken.capabilities import ACTIVITIES, KRAKEN, STATUSES, TYPES

ZERO, ONE = Decimal(0), Decimal(1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARGINED = "flex"
"""The venue's name of the account whose collateral all positions share."""
LIQUIDATED = frozenset({"liquidation", "assignor", "unwindBankrupt"})
"""The types of fills by which the venue liquidates: it sells the position, or hands it over to other traders."""
SETTLED = frozenset({"assignee", "unwindCounterparty"})
"""The other types of fills that the venue creates itself, such as settlements."""
_MOST_PLACES = 12
_MOST_LEVELS = 10_000
"""The most levels that a side of an order book may have; a longer one is invalid."""


def moment(row: JsonFields, name: str) -> datetime:
    """Parse a time in milliseconds since 1970, as in the history, or as text; raise RowError if it can't be read."""
    value = row.value(name)
    if isinstance(value, str) and not value.isdigit():
        return row.time(name)
    try:
        return datetime.fromtimestamp(int(row.number(name)) / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise RowError(name, "is out of range") from error


def milliseconds(at: datetime) -> str:
    """Format a moment as milliseconds since 1970, as the history expects it."""
    return str((at - _EPOCH) // (datetime.resolution * 1000))


def parse_side(row: JsonFields, name: str = "side") -> Side:
    """Parse the side of an order or fill; the history capitalizes it."""
    word = row.text(name).lower()
    if word not in tuple(Side):
        raise RowError(name, "is neither buy nor sell")
    return Side(word)


def parse_order_type(row: JsonFields, name: str, *, limited: bool) -> OrderType:
    """Return the type of an order; a stop order with a limit has a different type from one without."""
    kind = TYPES.get(row.text(name).lower().replace("_", " "), OrderType.UNKNOWN)
    return OrderType.STOP_LIMIT if kind is OrderType.STOP and limited else kind


def open_order(raw: object, tally: DriftTally) -> Order:
    """Parse an open order. A trigger order lacks `unfilledSize`, so its quantity is None until it is looked up."""
    row = JsonFields("order", raw, tally)
    unfilled = row.number_or_none("unfilledSize")
    filled = Decimal(0) if unfilled is None and row.value("filledSize") is None else row.number("filledSize")
    limit = row.number_or_none("limitPrice")
    status = row.translate_word("status", STATUSES, OrderStatus.UNKNOWN)
    kind = parse_order_type(row, "orderType", limited=limit is not None)
    return Order(
        venue_id=row.text("order_id"),
        client_order_id=row.text_or_none("cliOrdId") or "",
        symbol=row.symbol(),
        asset_class=AssetClass.PERPETUAL,
        side=parse_side(row),
        quantity=row.number_or_none("size") if unfilled is None else unfilled + filled,
        filled_quantity=filled,
        filled_average_price=None,
        order_type=kind,
        limit_price=None if kind is OrderType.MARKET else limit,
        time_in_force=TimeInForce.GTC,
        status=OrderStatus.PARTIALLY_FILLED if status is OrderStatus.NEW and filled else status,
        submitted_at=row.time_or_none("receivedTime"),
        updated_at=row.time_or_none("lastUpdateTime"),
        stop_price=row.number_or_none("stopPrice"),
    )


def position(raw: object, marks: Mapping[str, Decimal], tally: DriftTally) -> BrokerPosition:
    """Parse a position, valued at its symbol's mark if that is known."""
    row = JsonFields("position", raw, tally)
    symbol, size = row.symbol(), row.number("size")
    if size < 0:
        raise RowError("size", "is below zero")
    if row.text("side") not in ("long", "short"):
        raise RowError("side", "is neither long nor short")
    quantity, mark = -size if row.text("side") == "short" else size, marks.get(symbol)
    return BrokerPosition(
        symbol=symbol,
        asset_class=AssetClass.PERPETUAL,
        quantity=quantity,
        average_price=row.number("price"),
        market_value=None if mark is None else quantity * mark,
        current_price=mark,
        multiplier=ONE,
    )


def fill(raw: object, tally: DriftTally) -> Fill:
    """Parse an execution; its fee is only in the account log."""
    row = JsonFields("fill", raw, tally)
    return Fill(
        activity_id=row.text("fill_id"),
        venue_order_id=row.text("order_id"),
        symbol=row.symbol(),
        side=parse_side(row),
        quantity=row.positive("size"),
        price=row.positive("price"),
        at=row.time("fillTime"),
        multiplier=ONE,
        fee=Fee(None),
        liquidation=row.value("fillType") in LIQUIDATED,
        settlement=row.value("fillType") in SETTLED,
    )


def activities(raw: object, tally: DriftTally) -> Sequence[Activity]:
    """Parse the cash movements in a row of the account log: a fee, funding, or a transfer, but not realized profit.

    A trade has two rows, of which only the cash row moves cash; funding may be booked with a trade. Rows for other
    currencies and for the owner's other accounts are ignored.
    """
    row = JsonFields("account log", raw, tally)
    kind, number, asset = row.text("info"), str(row.value("id")), row.text("asset")
    contract = row.text_or_none("contract")
    symbol = contract.upper() if contract else None
    meaning = ACTIVITIES.get(kind, ActivityKind.OTHER)
    if asset.upper() != KRAKEN.currency or (row.text_or_none("margin_account") or MARGINED) != MARGINED:
        return ()
    if meaning is ActivityKind.OTHER:
        tally.note("account log", "info", f"has an unknown value: {kind}")
    at, about = moment(row, "date"), row.text_or_none("execution") or ""

    def build(id_: str, what: ActivityKind, amount: Decimal, of: str = "") -> Activity:
        # The books use our own types; the venue's word is kept beside them.
        return Activity(id_, what.value, kind, symbol, None, None, amount, at, what, fill_id=of)

    if meaning not in (ActivityKind.COMMISSION, ActivityKind.FUNDING):
        # Whatever it was, this is the amount that moved.
        return [build(number, meaning, row.number("new_balance") - row.number("old_balance"))]
    activities = []
    fee, funding = row.number_or_none("fee"), row.number_or_none("realized_funding")
    if meaning is ActivityKind.COMMISSION and fee is not None:
        activities.append(build(fee_id(about) if about else f"{number}:fee", meaning, -fee, about))
    if row.number_or_none("liquidation_fee"):
        activities.append(build(f"{number}:liquidation", ActivityKind.OTHER_FEE, -row.number("liquidation_fee")))
    if funding:
        activities.append(build(f"{number}:funding", ActivityKind.FUNDING, funding))
    return activities


def listing(raw: object, read_at: datetime, tally: DriftTally) -> Listing:
    """Parse a contract's listing; raise RowError if it has no tick."""
    row = JsonFields("listing", raw, tally)
    places = int(row.number("contractValueTradePrecision"))
    if not -_MOST_PLACES <= places <= _MOST_PLACES:
        raise RowError("contractValueTradePrecision", "is out of range")
    tick, lot = row.positive("tickSize"), ONE.scaleb(-places)
    last = row.time_or_none("lastTradingTime")
    if last is not None and last <= read_at:
        raise RowError("lastTradingTime", "is over")
    return Listing(
        Instrument(
            symbol=row.symbol(),
            asset_class=AssetClass.PERPETUAL,
            multiplier=row.positive("contractSize"),
            tick=tick,
            lot=lot,
            currency=KRAKEN.currency,
            calendar=KRAKEN.calendar,
        ),
        (TickStep(Decimal(0), tick),),
        lot,
        read_at,
        tuple(sorted((_level(level, tally) for level in _levels(row)), key=attrgetter("from_quantity", "from_usd"))),
        last.date() if last else None,
    )


def _levels(row: JsonFields) -> list[Any]:
    value = row.value("marginLevels")
    if not isinstance(value, list) or not value:
        raise RowError("marginLevels", "is not a list of levels")
    return value


def _level(raw: object, tally: DriftTally) -> MarginLevel:
    row = JsonFields("margin level", raw, tally)
    # Perpetuals have levels by a position's value, older contracts by the number of contracts.
    worth = row.number_or_none("numNonContractUnits")
    least = row.number("contracts") if worth is None else worth
    initial, maintenance = row.positive("initialMargin"), row.positive("maintenanceMargin")
    if least < 0 or maintenance > initial:
        raise RowError("marginLevels", "has an impossible level")
    if worth is None:
        return MarginLevel(least, initial, maintenance)
    return MarginLevel(Decimal(0), initial, maintenance, worth)


def quote(raw: object, at: datetime, tally: DriftTally) -> Quote:
    """Parse the quote in a ticker that was read at `at`; raise RowError for a suspended market or a missing side.

    An unreadable mark, index or funding rate is None, because bid and ask are enough to close a position.
    """
    row = JsonFields("ticker", raw, tally)
    if row.value("suspended") is True:
        raise RowError(SUSPENDED, "")
    bid, ask = row.positive("bid"), row.positive("ask")
    if bid > ask:
        raise RowError("bid", "is above the ask")
    return Quote(
        symbol=row.symbol(),
        at=at,
        bid=bid,
        ask=ask,
        last=row.positive("last"),
        previous_close=row.number_or_none("open24h"),
        feed="Kraken Futures",
        day_volume_usd=_beside(row, "volumeQuote", tally, least=ZERO),
        mark=_beside(row, "markPrice", tally, above=ZERO),
        index=_beside(row, "indexPrice", tally, above=ZERO),
        funding_rate=_beside(row, "fundingRate", tally),
        funding_next=_beside(row, "fundingRatePrediction", tally),
        last_at=_traded_at(row, tally),
    )


def _traded_at(row: JsonFields, tally: DriftTally) -> datetime | None:
    try:
        return row.time_or_none("lastTime")
    except RowError as error:
        tally.note("ticker", "lastTime", f"is ignored: {error.problem}")
        return None


def depth(symbol: str, raw: object, tally: DriftTally) -> Depth | None:
    """Parse a symbol's order book; if it is impossible, count it and return None.

    Both sides must be sorted from the best price and may not cross. A side may be empty.
    """
    try:
        return _depth(symbol, raw, tally)
    except RowError as error:
        tally.note("order book", error.field_name, error.problem)
        return None


def _depth(symbol: str, raw: object, tally: DriftTally) -> Depth:
    row = JsonFields("order book", raw, tally)
    bids, asks = _side(row, "bids", -1, tally), _side(row, "asks", 1, tally)
    if bids and asks and bids[0].price > asks[0].price:
        raise RowError("bids", "are above the asks")
    return Depth(symbol, bids, asks)


def _side(row: JsonFields, name: str, way: int, tally: DriftTally) -> tuple[Level, ...]:
    """Parse one side's levels, whose prices rise if `way` is 1 and fall if it is -1."""
    side = row.value(name)
    if not isinstance(side, list):
        raise RowError(name, "is not a list of levels")
    if len(side) > _MOST_LEVELS:
        raise RowError(name, f"has more than {_MOST_LEVELS} levels")
    levels = tuple(_resting(name, row, tally) for row in side)
    if any((after.price - before.price) * way <= 0 for before, after in pairwise(levels)):
        raise RowError(name, "are not sorted from the best price")
    return levels


def _resting(name: str, raw: object, tally: DriftTally) -> Level:
    if not isinstance(raw, list) or len(raw) != 2:
        raise RowError(name, "has a level that is not a price and a quantity")
    level = JsonFields("level", {"price": raw[0], "quantity": raw[1]}, tally)
    return Level(level.positive("price"), level.positive("quantity"))


def _beside(
    row: JsonFields, name: str, tally: DriftTally, *, above: Decimal | None = None, least: Decimal | None = None
) -> Decimal | None:
    """Parse another figure of a ticker; None if it is missing, unreadable, or out of range, which is counted."""
    try:
        number = row.number_or_none(name)
    except RowError as error:
        tally.note("ticker", name, error.problem)
        return None
    if number is not None and above is not None and number <= above:
        tally.note("ticker", name, f"is not above {above}: {number}")
        return None
    if number is not None and least is not None and number < least:
        tally.note("ticker", name, f"is below {least}: {number}")
        return None
    return number


def mark(raw: object, tally: DriftTally) -> tuple[str, Decimal]:
    """Return a ticker's symbol and its mark price."""
    row = JsonFields("ticker", raw, tally)
    return row.symbol(), row.positive("markPrice")
