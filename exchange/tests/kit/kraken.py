"""A client of the Kraken face for tests: it signs each request by itself, with none of the project's own code."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

from exchange.tests.kit.app import Answer, World, open_world
from papervenue.market.coins import kraken_venue
from papervenue.market.spec import CLOSE, FillSpec, MarketSpec
from papervenue.market.venue import Instrument

KEY, SECRET = "sandbox", base64.b64encode(b"sandbox").decode()
V3, HISTORY = "/derivatives/api/v3", "/api/history/v2"
XBT, PEPE = "PF_XBTUSD", "PF_PEPEUSD"
START = date(2026, 11, 24)


def spec(
    symbols: tuple[str, ...] = (XBT, PEPE),
    fill: FillSpec = CLOSE,
    cash: int = 100_000,
    instruments: tuple[Instrument, ...] = (),
    **rules: Any,
) -> MarketSpec:
    """Return a market of a few perpetuals in which orders fill at once, unless told otherwise."""
    venue = kraken_venue(5, symbols)
    venue = replace(venue, instruments=instruments or venue.instruments)
    venue = replace(venue, rules=replace(venue.rules, **rules))
    return MarketSpec(start=START, sessions=4, symbols=symbols, seed=5, venue=venue, fill=fill, cash=Decimal(cash))


def signature(secret: str, path: str, sent: str, nonce: str) -> str:
    """Return what Kraken's documentation says: HMAC-SHA512 over the SHA256 of the data, the nonce and the path."""
    inner = hashlib.sha256()
    inner.update(sent.encode())
    inner.update(nonce.encode())
    inner.update(path.encode())
    outer = hmac.new(base64.b64decode(secret), digestmod="sha512")
    outer.update(inner.digest())
    return base64.b64encode(outer.digest()).decode("ascii")


class KrakenExchange:
    """An exchange, and what its owner asks of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world: World = open_world(folder)
        self.engine = self.world.engine
        self.nonce = 0

    def headers(self, path: str, sent: str, **changed: str) -> Mapping[str, str]:
        self.nonce += 1
        nonce = changed.get("nonce", str(self.nonce))
        signed = path.removeprefix("/derivatives")
        named = {"APIKey": KEY, "Nonce": nonce, "Authent": signature(SECRET, signed, sent, nonce)}
        return {**named, **{name: value for name, value in changed.items() if name != "nonce"}}

    def ask(self, method: str, path: str, **params: object) -> Answer:
        """Send a signed request, with parameters in the query or, of a POST, in the form."""
        sent = urlencode(params)
        target = f"{path}?{sent}" if method != "POST" and sent else path
        body = sent.encode() if method == "POST" else None
        return self.world.ask(method, target, body, self.headers(path, sent))

    def get(self, path: str, **params: object) -> Any:
        answer = self.ask("GET", path, **params)
        assert answer.status == 200, answer
        return answer.json

    def v3(self, name: str, **params: object) -> Any:
        return self.get(f"{V3}/{name}", **params)

    def history(self, name: str, **params: object) -> Any:
        return self.get(f"{HISTORY}/{name}", **params)

    def post(self, name: str, **params: object) -> Any:
        answer = self.ask("POST", f"{V3}/{name}", **params)
        assert answer.status == 200, answer
        return answer.json

    def send(
        self, kind: str = "mkt", side: str = "buy", size: object = "0.1", symbol: str = XBT, **more: object
    ) -> Any:
        """Send an order, and return its status."""
        return self.post("sendorder", orderType=kind, symbol=symbol, side=side, size=size, **more)["sendStatus"]

    def events(self, name: str, **params: object) -> list[tuple[str, Any]]:
        """Return the events of a page of the history by name, oldest first."""
        elements = self.history(name, **params)["elements"]
        return [next(iter(one["event"].items())) for one in reversed(elements)]

    def flex(self) -> Any:
        return self.v3("accounts")["accounts"]["flex"]

    def price(self, symbol: str = XBT) -> Decimal:
        """Return the last price."""
        last = self.engine.last_price(symbol)
        assert last is not None
        return self.engine.market.grids[symbol].usd(last)
