"""At which venue a campaign's program plays: at Alpaca, or at the one that the variable VENUE of its environment names.

VENUE=elsewhere python -m tests.faults.schedules --count 100
"""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from papervenue.faces.kraken import orders
from papervenue.market.coins import kraken_venue
from papervenue.market.spec import FillSpec, MarketSpec
from tests.kit.elsewhere import place
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import shipped_path
from tradebot.model.venue import Settlement
from tradebot.venues.kraken.capabilities import SETTLED_AFTER

VARIABLE = "VENUE"


class Wrote(NamedTuple):
    """What a request about orders asks for: an order or another price under an id, or the end of a target."""

    client_order_id: str = ""
    symbol: str = ""
    reduce_only: bool = False
    target: str = ""
    is_new: bool = False


class Paths(NamedTuple):
    """Where a venue takes orders, and where it lists what is open and what is held, all of it or of one symbol."""

    orders: str
    listed: str
    positions: str
    position: str


def _paths(api: str) -> Paths:
    return Paths(f"{api}/orders", f"{api}/orders", f"{api}/positions", f"{api}/positions/*")


def _in_json(paths: Paths, method: str, path: str, text: str) -> Wrote | None:
    """Return what a request says whose method and path tell what it is, and whose body the rest."""
    if not path.startswith(paths.orders):
        return None
    if method == "DELETE":
        return Wrote(target=path.rpartition("/")[2])
    body = json.loads(text)
    return Wrote(
        body.get("client_order_id", ""),
        body.get("symbol", ""),
        bool(body.get("reduce_only")),
        is_new=path == paths.orders,
    )


def _in_a_form(paths: Paths, method: str, path: str, text: str) -> Wrote | None:
    """Return what a request says that is a form, at Kraken Futures."""
    form = dict(parse_qsl(text))
    if path == paths.orders:
        return Wrote(form["cliOrdId"], form["symbol"], form.get("reduceOnly") == "true", is_new=True)
    return Wrote(target=form["order_id"]) if path.endswith("/cancelorder") else None


def _far_in_json(symbol: str, name: str, **in_orders: str) -> str:
    body = {"symbol": symbol, "qty": "5", "side": "buy", "type": "limit", "limit_price": "1"}
    return json.dumps({**body, **in_orders, "client_order_id": name})


def _far_in_a_form(symbol: str, name: str) -> str:
    form = {"orderType": "lmt", "symbol": symbol, "side": "buy", "size": "5", "limitPrice": "0.05", "cliOrdId": name}
    return urlencode(form)


class CampaignVenue(NamedTuple):
    """What a campaign has to know of a venue; the symbols are of one sector.

    `sends` is the beginning of the failpoints around what is sent. `settings` are those that a bot needs there, `far`
    writes an order of a symbol, under an id, that rests far from the market, and `read` reads a request. `fields` are
    its names of fields, where they are others than Alpaca's. `leaves_out` are the troubles that can't befall anybody
    there, and `lacks` the kinds of requests that there are none of. It tells `tells_after_s` later how orders ended.
    Ids of fills begin with their time if it `dates_fills`. If it `repeats`, a request whose answer was lost may be sent
    again, because both make one order. If it `refuses_halted`, orders of a halted symbol only rest if they came before.
    No answer of it shows that an order is in one of the `unshown` states: it looks as it did before.
    Some of its bots have the pieces of the shipped `profile`, if one is named.
    """

    name: str
    paths: Paths
    sends: str
    settlement: Settlement
    symbols: tuple[str, ...]
    stranger: str
    settings: str
    key: tuple[str, ...]
    market: Callable[..., MarketSpec]
    far: Callable[[str, str], str]
    multiplier: int = 1
    read: Callable[[Paths, str, str, str], Wrote | None] = _in_json
    fields: Mapping[str, str] = {}
    leaves_out: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    tells_after_s: int = 0
    repeats: bool = True
    dates_fills: bool = True
    refuses_halted: bool = False
    unshown: frozenset[str] = frozenset()
    profile: str = ""

    def wrote(self, method: str, path: str, text: str) -> Wrote | None:
        """Return what a request asks of orders, None if it is about anything else; `text` is its body or its query."""
        return self.read(self.paths, method, path, text)

    def fill_id(self, event: Mapping[str, Any]) -> str:
        """Return the id that the venue tells of a fill in the log."""
        told: str = event["activity_id"]
        return told if self.dates_fills else told.rpartition("::")[2]

    def asked(self, event: Mapping[str, Any]) -> Wrote | None:
        """Return what a line of the log asks of orders, None if it isn't such a request."""
        if event["event"] != "request":
            return None
        return self.wrote(event["method"], event["path"], event.get("body") or event.get("query") or "")

    def keys(self, key: str) -> Mapping[str, str]:
        """Return the secrets of an account, by the names of the venue's keys."""
        return dict.fromkeys(self.key, key)

    def far_order(self, client_order_id: str) -> str:
        """Return the body of an order that rests far from the market, in a symbol that the bot does not trade."""
        return self.far(self.stranger, client_order_id)


def _shares(start: date, symbols: tuple[str, ...], sessions: int, seed: int, fill: FillSpec) -> MarketSpec:
    return MarketSpec(start=start, symbols=symbols, sessions=sessions, seed=seed, fill=fill)


def _contracts(
    start: date, symbols: tuple[str, ...], sessions: int, seed: int, fill: FillSpec, *, brackets: bool = False
) -> MarketSpec:
    # Where sessions are contiguous, the next open after a close is that of the session after the next.
    return place.market(start, symbols=symbols, sessions=sessions + 3, seed=seed, fill=fill, brackets=brackets)


def _perpetuals(start: date, symbols: tuple[str, ...], sessions: int, seed: int, fill: FillSpec) -> MarketSpec:
    venue = kraken_venue(seed, symbols)
    return MarketSpec(start=start, symbols=symbols, sessions=sessions + 3, seed=seed, fill=fill, venue=venue)


ALPACA = CampaignVenue(
    "alpaca",
    _paths("/v2"),
    "alpaca.",
    Settlement.PAID,
    ("AAPL", "MSFT", "NVDA", "AMZN", "JPM", "XOM"),
    "XOM",
    "",
    ("alpaca_key", "alpaca_secret"),
    _shares,
    partial(_far_in_json, time_in_force="day"),
)
_WATERS = ("TIDE", "REEF", "GULF", "SPIT", "COVE", "SAND")
ELSEWHERE = CampaignVenue(
    place.NAME,
    _paths("/v1"),
    "elsewhere.",
    Settlement.MARGINED,
    _WATERS,
    "SAND",
    f"venue: {place.NAME}\nsectors: {{{', '.join(f'{name}: waters' for name in _WATERS)}}}\n",
    ("elsewhere_key",),
    _contracts,
    partial(_far_in_json, good_until="2030-01-01T00:00:00Z"),
    int(place.MULTIPLIER),
    leaves_out=frozenset(
        {
            *("pairs refused", "legs left out", "replace needs shares", "replace starts over"),
            *("exit through the market refused", "shares freed late"),
            *("stale quotes", "frozen quotes", "crossed quotes", "unknown kind"),
        }
    ),
    lacks=frozenset({"replace"}),
    tells_after_s=place.TOLD_AFTER.seconds + 1,
    repeats=False,
)
BRACKETS = ELSEWHERE._replace(
    name=place.WITH_BRACKETS,
    settings=ELSEWHERE.settings.replace(place.NAME, place.WITH_BRACKETS),
    market=partial(_contracts, brackets=True),
)
_COINS = ("PF_XRPUSD", "PF_ADAUSD", "PF_SUIUSD", "PF_XLMUSD", "PF_DOGEUSD", "PF_TRXUSD")
"""They are traded in whole units, as shares are."""
_USUAL = load_yaml(shipped_path("base.yaml"), shipped=True)["strategies"]
"""The strategy of every other venue, in place of the one that a bot at Kraken Futures begins with."""
KRAKEN = CampaignVenue(
    "kraken_futures",
    Paths(orders.SEND, f"{orders.V3}/openorders", *[f"{orders.V3}/openpositions"] * 2),
    "kraken.",
    Settlement.MARGINED,
    _COINS,
    "PF_TRXUSD",
    f"venue: kraken_futures\nsectors: {{{', '.join(f'{name}: coins' for name in _COINS)}}}\n"
    f"strategies: {json.dumps(_USUAL, default=float)}\n",
    ("kraken_key",),
    _perpetuals,
    _far_in_a_form,
    read=_in_a_form,
    fields={"client_order_id": "cliOrdId", "qty": "size", "filled_qty": "filledSize", "equity": "portfolioValue"},
    # It tells positions only in one list, so none can be denied apart from it.
    leaves_out=ELSEWHERE.leaves_out | {"positions denied"},
    lacks=ELSEWHERE.lacks,
    tells_after_s=SETTLED_AFTER.seconds + 1,
    repeats=False,
    dates_fills=False,
    refuses_halted=True,
    unshown=frozenset({"suspended"}),
    profile="smart_money",
)
AT = {venue.name: venue for venue in (ALPACA, ELSEWHERE, BRACKETS, KRAKEN)}[os.environ.get(VARIABLE, ALPACA.name)]
REPLAY = "" if AT is ALPACA else f"{VARIABLE}={AT.name} "
"""What comes before a command that plays something of a campaign again."""
if AT in (ELSEWHERE, BRACKETS):
    place.install()


# What a venue may say that is not true: lists that lack something, lag, contradict each other, or never rest.
#
# A lie is one rule of the exchange's faults, or two that go together: what a list leaves out may be denied by its id
# too.

ORDERS, POSITIONS, POSITION = (f"GET {path}" for path in AT.paths[1:])
ACCOUNT = ("orders", "order", "positions", "activities", "account")
STRANGER = "by-hand-1"
COPY = f"tb1.261117.OWN.{AT.stranger}.COPY.ABCDEFGHIJKLMNOP"
"""An order under our mark that these books don't have."""

Told = tuple[str | Sequence[str], str | Mapping[str, Any]]
"""What is asked, and what is told."""


def _of_one(symbol: str) -> Mapping[str, Any]:
    return {"missing_rows": None, "symbol": symbol}


_LIES: Mapping[str, Sequence[Told]] = {
    "no open orders": [(ORDERS, "missing_rows")],
    "an open order left out": [(ORDERS, _of_one(AT.symbols[0]))],
    "another open order left out": [(ORDERS, _of_one(AT.symbols[1]))],
    "open orders of a minute ago": [(ORDERS, {"stale_account": "70s"})],
    "open orders of long ago": [(ORDERS, {"stale_account": "15m"})],
    "open orders that stand still": [(ORDERS, "stale_account")],
    "open orders denied": [(ORDERS, "missing_rows"), ("order", "not_found")],
    "no positions": [(POSITIONS, "missing_rows")],
    "a position left out": [(POSITIONS, _of_one(AT.symbols[0]))],
    "positions of a minute ago": [(POSITIONS, {"stale_account": "70s"})],
    "positions that stand still": [(["positions"], "stale_account")],
    "positions on the other side": [(POSITIONS, "opposite_side")],
    "positions worth nothing": [("positions", "position_value")],
    "a position worth a cent": [("positions", {"position_value": 0.01, "symbol": AT.symbols[0]})],
    "positions denied": [(POSITIONS, "missing_rows"), (POSITION, "not_found")],
    "positions on the other side, twice": [("positions", "opposite_side")],
    "orders and positions gone": [(ORDERS, "missing_rows"), (POSITIONS, "missing_rows")],
    "fills not told": [("activities", "missing_rows")],
    "fills of a minute ago": [("activities", {"stale_account": "70s"})],
    "positions and fills that stand still": [(["positions", "activities"], "stale_account")],
    "positions and fills of a minute ago": [(["positions", "activities"], {"stale_account": "70s"})],
    "positions and fills gone": [(POSITIONS, "missing_rows"), ("activities", "missing_rows")],
    "everything of five minutes ago": [(ACCOUNT, {"stale_account": "5m"})],
    "everything stands still": [(ACCOUNT, "stale_account")],
    "a stranger's price never rests": [("orders", {"restless_orders": "limit_price", "client_order_id": "by-hand*"})],
    "a stranger's quantity never rests": [("orders", {"restless_orders": "qty", "client_order_id": "by-hand*"})],
    "a stranger's status never rests": [("orders", {"restless_orders": "status", "client_order_id": "by-hand*"})],
    "a stranger's time never rests": [("orders", {"restless_orders": "updated_at", "client_order_id": "by-hand*"})],
    "our own orders' time never rests": [("orders", {"restless_orders": "updated_at", "client_order_id": "tb1*"})],
    "our own orders' status never rests": [("orders", {"restless_orders": "status", "client_order_id": "tb1*"})],
}
LIES = {name: told for name, told in _LIES.items() if name not in AT.leaves_out}
RESTLESS = frozenset(name for name in LIES if name.startswith("a stranger's"))
PLACES: Sequence[Mapping[str, int]] = ({"nth": 1}, {"nth": 2}, {"to": 3}, {}, {}, {}, {})
"""One reading, those of about a pass, or every one until somebody ends it."""


def lie_rules(chance: random.Random, name: str, tag: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of a lie, which all hold for the same readings."""
    place = chance.choice(PLACES)
    for number, (request, told) in enumerate(LIES[name]):
        yield {"name": f"{tag}.{number}", "when": {"request": request, **place}, "what": told}
