"""Connect to Alpaca: its keys, its client, and the checks of `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.errors import OperatorError
from tradebot.venues.alpaca.capabilities import ALPACA, KEYS
from tradebot.venues.door import SANDBOX_KEY, Access, Checks, VenueCheck, VenueDriver

if TYPE_CHECKING:
    from tradebot.adapters.wire.json_fields import DriftTally
    from tradebot.venues.alpaca.bars import AlpacaBars
    from tradebot.venues.alpaca.orders import AlpacaOrders
    from tradebot.venues.alpaca.reader import AlpacaReader
    from tradebot.venues.alpaca.wire import AlpacaVenue


def door() -> VenueDriver:
    """Return the driver of Alpaca."""
    return VenueDriver(
        capabilities=ALPACA,
        keys=KEYS,
        connect=_connect,
        reader=_reader,
        orders=_orders,
        bars=_bars,
        checks=Checks(
            lambda venue, tally, symbols: _reader(venue, tally).bar_times(symbols),
            lambda venue, tally, symbols, first, last: _bars(venue, tally).renamed_symbols(symbols, first, last),
            _data_plan,
            "alpaca.feed",
        ),
    )


def _connect(access: Access) -> AlpacaVenue:
    from tradebot.venues.alpaca.wire import AlpacaVenue

    settings, secrets = access.settings, access.secrets
    built_in = SANDBOX_KEY if access.sandbox_url else ""
    key, secret = (secrets.get(name, built_in) for name in ("alpaca_key", "alpaca_secret"))
    if not key or not secret:
        raise OperatorError(
            f"mode {settings.mode} needs keys: ALPACA_KEY or ALPACA_SECRET is not set",
            "set both in the environment or in .env (chmod 600 .env), then run it again; tradebot demo needs none",
        )
    url = access.sandbox_url or secrets.get("alpaca_url") or settings.alpaca.url
    data_url = access.sandbox_url or settings.alpaca.data_url
    if not url or not data_url or not settings.alpaca.feed:
        raise OperatorError("alpaca.url, alpaca.data_url and alpaca.feed must all be set", "see config/paper.yaml")
    return AlpacaVenue(
        url, data_url, key, secret, settings.alpaca.feed, settings.mode, access.before_read, access.heard
    )


def _reader(venue: AlpacaVenue, tally: DriftTally) -> AlpacaReader:
    from tradebot.venues.alpaca.reader import AlpacaReader

    return AlpacaReader(venue, tally)


def _orders(venue: AlpacaVenue, tally: DriftTally) -> AlpacaOrders:
    from tradebot.venues.alpaca.orders import AlpacaOrders

    return AlpacaOrders(venue, tally)


def _bars(venue: AlpacaVenue, tally: DriftTally) -> AlpacaBars:
    from tradebot.venues.alpaca.bars import AlpacaBars

    return AlpacaBars(venue, tally)


def _data_plan(venue: AlpacaVenue, tally: DriftTally, symbol: str) -> VenueCheck:
    """Check whether the data plan includes prices of the whole market (SIP) or of one exchange (IEX)."""
    from tradebot.judging.judgment import HealthState
    from tradebot.venues.alpaca.wire import SANDBOX_FEED, DataPlanError

    if venue.feed == SANDBOX_FEED:
        return VenueCheck(HealthState.SKIPPED, "the embedded exchange has no data plans", "", 0)
    feed = venue.feed
    try:
        count = len(_reader(venue, tally).bar_times([symbol], "sip"))
    except DataPlanError as refused:
        if feed == "sip":
            fix = "Set alpaca.feed: iex, or subscribe to the plan that includes SIP"
            return VenueCheck(HealthState.FAILED, refused.message, "answer", fix=fix)
        return VenueCheck(HealthState.OK, "the plan includes IEX but not SIP; feed iex matches it", "answer")
    better = "" if feed == "sip" else "; set alpaca.feed: sip to use it, because iex covers one exchange only"
    return VenueCheck(HealthState.OK, f"the plan includes SIP, and the feed is {feed}{better}", "answer", max(count, 1))
