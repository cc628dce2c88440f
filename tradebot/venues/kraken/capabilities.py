"""Declare Kraken Futures' capabilities, order states and types of cash movements."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from tradebot.model.account import ActivityKind
from tradebot.model.order import OrderStatus, OrderType, TimeInForce
from tradebot.model.series import PriceKind
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs, Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.venues.door import Key

KEY, SECRET, URL = "KRAKEN_FUTURES_KEY", "KRAKEN_FUTURES_SECRET", "KRAKEN_FUTURES_URL"
"""The variables for the venue's key, secret and address."""
KEYS = (
    Key("kraken_key", (KEY,)),
    Key("kraken_secret", (SECRET,)),
    Key("kraken_url", (URL,), secret=False),
)
KRAKEN = Capabilities(
    name="kraken_futures",
    title="Kraken Futures",
    settlement=Settlement.MARGINED,
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}),
    lives=frozenset({TimeInForce.GTC}),
    client_ids=ClientIds.WHILE_OPEN,
    edit=Edit.NONE,
    pairs=Pairs.TWO_ORDERS,
    calendar="24/7",
    day=VenueDay("UTC"),
    currency="USD",
    short_reserve=Decimal(1),
    reduce_only=True,
    unit="contract",
    # The history may lag by ten seconds, and a pass reads it shortly after the open orders.
    tells_ends_after=timedelta(seconds=30),
    ends_in_history=True,
    bar_prices=frozenset(PriceKind),
)
STATUSES: Mapping[str, OrderStatus] = {
    "untouched": OrderStatus.NEW,
    "partiallyFilled": OrderStatus.PARTIALLY_FILLED,
}
"""The states of open orders. Only the history says how an order ended."""
TYPES: Mapping[str, OrderType] = {
    "lmt": OrderType.LIMIT,
    "post": OrderType.LIMIT,
    "mkt": OrderType.MARKET,
    "stp": OrderType.STOP,
    "stop": OrderType.STOP,
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
}
"""The order types, as the trading API writes them and, in lower case, as the history does."""
SENT_AS: Mapping[OrderType, str] = {OrderType.MARKET: "mkt", OrderType.LIMIT: "lmt", OrderType.STOP: "stp"}
ACTIVITIES: Mapping[str, ActivityKind] = {
    "futures trade": ActivityKind.COMMISSION,
    "futures liquidation": ActivityKind.COMMISSION,
    "futures assignor": ActivityKind.COMMISSION,
    "futures assignee": ActivityKind.COMMISSION,
    "funding rate change": ActivityKind.FUNDING,
    "cross-exchange transfer": ActivityKind.TRANSFER,
    "transfer": ActivityKind.TRANSFER,
    "conversion": ActivityKind.TRANSFER,
    "interest payment": ActivityKind.INTEREST,
}
"""The meaning of each type of row in the account log."""
ACCEPTED = frozenset({"placed", "cancelled", "edited"})
REFUSED = frozenset(
    {
        "invalidOrderType",
        "invalidSide",
        "invalidSize",
        "invalidPrice",
        "insufficientAvailableFunds",
        "selfFill",
        "tooManySmallOrders",
        "maxPositionViolation",
        "marketSuspended",
        "marketInactive",
        "clientOrderIdTooLong",
        "outsidePriceCollar",
        "postWouldExecute",
        "iocWouldNotExecute",
        "wouldNotReducePosition",
        "orderForEditNotFound",
        "orderForEditNotAStop",
    }
)
"""The values of `sendStatus` after which there is certainly no order. Any unlisted value proves nothing."""
PERSON = frozenset(
    {"authenticationError", "accountInactive", "nonceBelowThreshold", "nonceDuplicate", "insufficientPrivileges"}
)
"""Errors that a person has to look into. The request wasn't carried out."""
NONCE = frozenset({"nonceBelowThreshold", "nonceDuplicate"})
NO_MARGIN = "INSUFFICIENT_MARGIN"
TAKEN = "clientOrderIdAlreadyExist"
NOT_DONE = ("requestTimeout", "invalidArgument", "requiredArgumentMissing", "marketUnavailable")
"""The prefixes of errors that prove that a request wasn't carried out, because it was late or invalid."""
SETTLED_AFTER = timedelta(seconds=10)
"""How far the history may lag behind the market. Until then, a missing row proves nothing."""
ARRIVES_WITHIN = timedelta(seconds=60)
"""How long after sending an order may be carried out. Each order states this limit, and the venue enforces it."""
