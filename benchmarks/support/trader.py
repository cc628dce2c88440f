"""A client that drives an exchange steadily over one kept-open connection."""

import http.client
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

KEYS = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox"}


class Trader:
    """Looks at all symbols, buys them in turn and sells them again; counts what it asked."""

    def __init__(self, url: str, symbols: Sequence[str]) -> None:
        self.requests = 0
        self.orders = 0
        self._symbols = symbols
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def tick(self, **body: object) -> None:
        """Let time pass."""
        self._ask("POST", "/exchange/v1/tick", body)

    def look(self) -> None:
        """Read the newest bars and quotes, and the account."""
        names = ",".join(self._symbols)
        for path in (f"/v2/stocks/bars/latest?symbols={names}", f"/v2/stocks/quotes/latest?symbols={names}"):
            self._ask("GET", path)
        for path in ("/v2/account", "/v2/positions", "/v2/orders?status=open"):
            self._ask("GET", path)

    def trade(self, count: int) -> None:
        """Send so many orders: each symbol is bought when its turn comes, and sold when it comes again."""
        for _ in range(count):
            turn, place = divmod(self.orders, len(self._symbols))
            self.orders += 1
            side = "sell" if turn % 2 else "buy"
            order = {"symbol": self._symbols[place], "side": side, "qty": "1", "type": "market", "time_in_force": "day"}
            self._ask("POST", "/v2/orders", order)

    def _ask(self, method: str, path: str, body: object = None) -> None:
        self._connection.request(method, path, None if body is None else json.dumps(body), KEYS)
        answer = self._connection.getresponse()
        said = answer.read()
        self.requests += 1
        # A thin symbol's first order may wait: selling what is not there yet is refused, and is no failure.
        assert answer.status in (200, 403, 422), said
