"""Declare Interactive Brokers' capabilities, order states, and message numbers."""

from collections.abc import Mapping
from datetime import time, timedelta
from decimal import Decimal

from tradebot.model.order import OrderStatus, OrderType, TimeInForce
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs, Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.venues.door import Key

HOST, PORT, CLIENT_ID = "IBKR_HOST", "IBKR_PORT", "IBKR_CLIENT_ID"
"""The variables for the Gateway's address, and for the client id that this bot connects with."""
EARLIER_NAMES: Mapping[str, str] = {
    "MAX_MEMORY_MB": "SERVE__MAX_MEMORY_MB",
    "DECISION_LATENCY_MS": "LIMITS__MAX_DECISION_MS",
    "S3_BUCKET": "STORAGE__BACKUP_TO",
}
"""The settings that an earlier system's variables set: the end of our own variable's name, by the earlier name."""
TRADING_ID = 9002
"""The bot's client id. Only one process at a time can use it."""
KEYS = (
    Key("ibkr_host", (HOST,), secret=False),
    Key("ibkr_port", (PORT,), secret=False),
    Key("ibkr_client_id", (CLIENT_ID,), secret=False),
)
IBKR = Capabilities(
    name="ibkr",
    title="Interactive Brokers",
    settlement=Settlement.MARGINED,
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}),
    lives=frozenset({TimeInForce.DAY, TimeInForce.GTC}),
    client_ids=ClientIds.FREE,
    edit=Edit.IN_PLACE,
    pairs=Pairs.BRACKET,
    calendar="CME Globex Equity",
    # From 17:00 to 16:00 the next day, or to noon on a holiday.
    day=VenueDay("America/Chicago", timedelta(hours=-7), timedelta(hours=23), holidays_end=time(12)),
    currency="USD",
    short_reserve=Decimal(1),
    reduce_only=False,
    unit="contract",
    # An execution may be reported shortly after its order has left the list of open orders.
    tells_ends_after=timedelta(seconds=30),
    hours_win=True,
    exits_join=True,
    forgets=True,
)
STATUSES: Mapping[str, OrderStatus] = {
    "ApiPending": OrderStatus.PENDING_NEW,
    "PendingSubmit": OrderStatus.PENDING_NEW,
    "PreSubmitted": OrderStatus.NEW,
    "Submitted": OrderStatus.NEW,
    "PendingCancel": OrderStatus.PENDING_CANCEL,
    "Filled": OrderStatus.FILLED,
    "ApiCancelled": OrderStatus.CANCELED,
    "Cancelled": OrderStatus.CANCELED,
}
"""Interactive Brokers' order states. `Inactive` is left out: such an order neither works nor has ended."""
INACTIVE = "Inactive"
TYPES: Mapping[str, OrderType] = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
}
SENT_AS: Mapping[OrderType, str] = {kind: word for word, kind in TYPES.items()}
LIVES: Mapping[str, TimeInForce] = {"DAY": TimeInForce.DAY, "GTC": TimeInForce.GTC}
SENT_LIVES: Mapping[TimeInForce, str] = {life: word for word, life in LIVES.items()}

LOST, BACK_WITHOUT_DATA, BACK = 1100, 1101, 1102
"""Message codes: the Gateway lost its connection to the venue, restored it without its data subscriptions, or restored
it with them.
"""
IN_USE = 326
REDUCES = 2
"""The type of the bot's order groups: a fill reduces the other orders, and only one at a time is at the exchange."""
NO_SUCH_ORDER, CANNOT_CANCEL, NOT_CANCELABLE, CANCELED = 10147, 10148, 161, 202
REFUSED = frozenset({103, 104, 105, 106, 107, 109, 110, 111, 113, 116, 118, 119, 120, 121, 132, 133, 134, 135, 136})
REFUSED |= frozenset({140, 141, 144, 145, 146, 147, 148, 151, 152, 153, 156, 157, 160, 163, 164})
REFUSED |= frozenset({200, 201, 203, 321, 434, 436, 463})
"""Codes that prove that an order doesn't work, because the venue or the Gateway refused it. No other code proves that.
"""
READ_ONLY_WORDS = "read-only"
NOTICES = frozenset(
    {399, 404, 2100, 2103, 2104, 2105, 2106, 2107, 2108, 2109, 2110, 2119, 2150, 2158, 2168, 2169, 10167}
)
"""Codes of notices that aren't refusals."""
HISTORY_ERROR, NO_CONTRACT = 162, 200
NO_BARS = "hmds query returned no data"
"""The text of the only history error (code 162) that means that there are no bars, in lower case."""
WITHOUT_BARS: Mapping[str, str] = {
    "permission": "subscribe this user name to the market's data, and share it with the paper login",
    "different ip": "end the other session of this user name: only one of them gets market data",
    "pacing": "try again in ten minutes: the venue limits how often bars may be requested",
}
"""Remedies for other history errors, by words in their messages, in lower case."""
ARRIVES_WITHIN = timedelta(minutes=2)
"""How long an order may take to appear after it was sent. By then, the connection has reported it."""
