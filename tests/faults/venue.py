"""At which venue a campaign's program plays: at Alpaca, or at the one that the variable VENUE of its environment names.

VENUE=elsewhere python -m tests.faults.schedules --count 100
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from tests.elsewhere import place
from tradebot.exchange.market.spec import FillSpec, MarketSpec
from tradebot.model.venue import Settlement

VARIABLE = "VENUE"


class Venue(NamedTuple):
    """What a campaign has to know of a venue; the symbols are of one sector.

    `api` is the beginning of its paths, `sends` that of the failpoints around what is sent. `settings` are those that a
    bot needs there, and `in_orders` what each order there says. `leaves_out` are the troubles that can't befall anybody
    there, and `lacks` the kinds of requests that there are none of. It tells `tells_after_s` later how orders ended.
    If it `repeats`, a request whose answer was lost may be sent again, because both make one order.
    """

    name: str
    api: str
    sends: str
    settlement: Settlement
    symbols: tuple[str, ...]
    stranger: str
    settings: str
    key: tuple[str, ...]
    market: Callable[..., MarketSpec]
    multiplier: int = 1
    in_orders: Mapping[str, str] = {}
    leaves_out: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    tells_after_s: int = 0
    repeats: bool = True

    @property
    def orders(self) -> str:
        """Return the path to which orders are sent."""
        return f"{self.api}/orders"

    def is_of_orders(self, event: Mapping[str, Any]) -> bool:
        """Return True if a line of the log is a request about orders."""
        return event["event"] == "request" and str(event["path"]).startswith(self.orders)

    def asks_for_order(self, event: Mapping[str, Any]) -> bool:
        """Return True if a line of the log is a request for a new order."""
        return event["event"] == "request" and (event["method"], event["path"]) == ("POST", self.orders)

    def keys(self, key: str) -> Mapping[str, str]:
        """Return the secrets of an account, by the names of the venue's keys."""
        return dict.fromkeys(self.key, key)

    def far_order(self, client_order_id: str) -> str:
        """Return the body of an order that rests far from the market, in a symbol that the bot does not trade."""
        body = {"symbol": self.stranger, "qty": "5", "side": "buy", "type": "limit", "limit_price": "1"}
        return json.dumps({**body, **self.in_orders, "client_order_id": client_order_id})


def _shares(start: date, symbols: tuple[str, ...], sessions: int, seed: int, fill: FillSpec) -> MarketSpec:
    return MarketSpec(start=start, symbols=symbols, sessions=sessions, seed=seed, fill=fill)


def _contracts(
    start: date, symbols: tuple[str, ...], sessions: int, seed: int, fill: FillSpec, *, brackets: bool = False
) -> MarketSpec:
    # Where sessions are contiguous, the next open after a close is that of the session after the next.
    return place.market(start, symbols=symbols, sessions=sessions + 3, seed=seed, fill=fill, brackets=brackets)


ALPACA = Venue(
    "alpaca",
    "/v2",
    "alpaca.",
    Settlement.PAID,
    ("AAPL", "MSFT", "NVDA", "AMZN", "JPM", "XOM"),
    "XOM",
    "",
    ("alpaca_key", "alpaca_secret"),
    _shares,
    in_orders={"time_in_force": "day"},
)
_WATERS = ("TIDE", "REEF", "GULF", "SPIT", "COVE", "SAND")
ELSEWHERE = Venue(
    place.NAME,
    "/v1",
    "elsewhere.",
    Settlement.MARGINED,
    _WATERS,
    "SAND",
    f"venue: {place.NAME}\nsectors: {{{', '.join(f'{name}: waters' for name in _WATERS)}}}\n",
    ("elsewhere_key",),
    _contracts,
    int(place.MULTIPLIER),
    {"good_until": "2030-01-01T00:00:00Z"},
    frozenset(
        {
            *("pairs refused", "legs left out", "replace needs shares", "replace starts over"),
            *("exit through the market refused", "shares freed late"),
            *("stale quotes", "frozen quotes", "crossed quotes", "unknown kind"),
        }
    ),
    frozenset({"replace"}),
    place.TOLD_AFTER.seconds + 1,
    repeats=False,
)
BRACKETS = ELSEWHERE._replace(
    name=place.WITH_BRACKETS,
    settings=ELSEWHERE.settings.replace(place.NAME, place.WITH_BRACKETS),
    market=partial(_contracts, brackets=True),
)
AT = {venue.name: venue for venue in (ALPACA, ELSEWHERE, BRACKETS)}[os.environ.get(VARIABLE, ALPACA.name)]
if AT is not ALPACA:
    place.install()
