"""Declare Alpaca's capabilities for US shares."""

from datetime import time, timedelta
from decimal import Decimal

from tradebot.model.order import OrderType, TimeInForce
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs, Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.venues.door import Key

KEYS = (
    Key("alpaca_key", ("ALPACA_KEY", "ALPACA_API_KEY", "APCA_API_KEY_ID")),
    Key("alpaca_secret", ("ALPACA_SECRET", "ALPACA_SECRET_KEY", "APCA_API_SECRET_KEY")),
    Key("alpaca_url", ("ALPACA_BASE_URL",), secret=False),
)
ALPACA = Capabilities(
    name="alpaca",
    title="Alpaca",
    settlement=Settlement.PAID,
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT}),
    lives=frozenset({TimeInForce.DAY, TimeInForce.GTC}),
    # Alpaca documents this only for open orders, but it answers 422 to any id that was ever used.
    client_ids=ClientIds.UNIQUE,
    edit=Edit.NEW_ID,
    pairs=Pairs.NATIVE,
    calendar="XNYS",
    day=VenueDay(
        "America/New_York",
        opens=timedelta(hours=9, minutes=30),
        lasts=timedelta(hours=6, minutes=30),
        extended=(time(4), time(20)),
    ),
    currency="USD",
    # Alpaca documents the price of short sales as "the order's limit price or 3 % above the current ask, whichever is
    # higher".
    short_reserve=Decimal("1.03"),
    reduce_only=False,
    unit="share",
    pair_distance=Decimal("0.01"),
)
