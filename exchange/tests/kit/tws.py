"""A client of the TWS face for tests: it writes each message by itself, with none of the face's own code."""

import struct
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from papervenue import server
from papervenue.commands.command import Command
from papervenue.exchange import open_exchange, tick_to
from papervenue.jsontext import encode
from papervenue.market.futures import futures_venue
from papervenue.market.spec import CLOSE, FillSpec, MarketSpec
from papervenue.times import SECOND

ES, NEXT, GC = "ESZ6", "ESH7", "GCZ6"
START = date(2026, 11, 23)
CLIENT = 9002

Fields = list[str]


def spec(roots: tuple[str, ...] = ("ES",), fill: FillSpec = CLOSE, sessions: int = 6, **rules: Any) -> MarketSpec:
    """Return a market of a few futures in which orders fill at once, unless told otherwise."""
    venue = futures_venue(START, sessions, roots)
    venue = replace(venue, rules=replace(venue.rules, **rules))
    symbols = tuple(one.symbol for one in venue.instruments)
    return MarketSpec(
        start=START, sessions=sessions, symbols=symbols, seed=5, venue=venue, fill=fill, cash=Decimal(100_000)
    )


class Line:
    """A connection that keeps what it is sent."""

    def __init__(self, record: Callable[[], None]) -> None:
        self.record = record
        self.data = b""
        self.is_closed = False
        self.due: list[tuple[float, Callable[[], None]]] = []

    def send(self, data: bytes) -> None:
        assert not self.is_closed
        self.data += data

    def close(self) -> None:
        self.is_closed = True

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self.due.append((seconds, do))

    def take_messages(self) -> list[Fields]:
        """Return the messages that have come, and forget them."""
        messages = []
        while len(self.data) >= 4 and len(self.data) >= 4 + struct.unpack(">I", self.data[:4])[0]:
            end = 4 + struct.unpack(">I", self.data[:4])[0]
            messages.append(self.data[4:end].decode().split("\0")[:-1])
            self.data = self.data[end:]
        return messages


class Client:
    """A client that has connected under an id."""

    def __init__(
        self, desk: "TwsExchange", client: int = CLIENT, *, start: bool = True, versions: str = "v157..178"
    ) -> None:
        self.line = Line(desk.exchange.commit)
        self.client = client
        self.conversation = desk.application.lines["tws"](self.line)
        self.conversation.receive(b"API\0" + framed(versions))
        self.greeting = self.line.take_messages()
        self.welcome = self.say(71, 2, client, "") if start else []
        ids = [int(one[2]) for one in self.welcome if one[0] == "9"]
        self.next_id = ids[0] if ids else 0

    def say(self, *fields: object) -> list[Fields]:
        """Send a message, and return what comes."""
        self.conversation.receive(framed("".join(f"{field}\0" for field in fields)))
        return self.line.take_messages()

    def place_order(
        self, number: int, action: str = "BUY", qty: object = 1, kind: str = "MKT", **more: Any
    ) -> list[Fields]:
        """Send an order."""
        return self.say(*order(number, action, qty, kind, **more))

    def bracket(self, qty: int = 1, ref: str = "", **more: Any) -> list[list[object]]:
        """Return the messages of a bracket: a market order, its target, and its stop."""
        first = self.next_id
        self.next_id += 3
        legs = {"parent": first, "transmit": 0, **more}
        return [
            order(first, "BUY", qty, "MKT", transmit=0, ref=f"{ref}a"),
            order(first + 1, "SELL", qty, "LMT", limit="7000", ref=f"{ref}b", **legs),
            order(first + 2, "SELL", qty, "STP", stop="5000", ref=f"{ref}c", **legs | {"transmit": 1}),
        ]

    def read(self, number: int, *fields: object) -> list[Fields]:
        return self.say(number, 1, *fields)

    def open_orders(self) -> dict[str, str]:
        """Return the status of each open order by its reference."""
        return {one[23]: self.word(one[1]) for one in self.read(5) if one[0] == "5"}

    def word(self, number: str) -> str:
        return next(one[2] for one in self.read(5) if one[0] == "3" and one[1] == number)

    def close(self) -> None:
        self.conversation.closed()


class TwsExchange:
    """An exchange in this process, and what its owner does besides talking to it over TWS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exchange = open_exchange(folder)
        self.engine = self.exchange.engine
        self.application = server.build_application(self.exchange, None, "test")

    def client(self, client: int = CLIENT) -> Client:
        return Client(self, client)

    def tick(self, seconds: int) -> None:
        self.exchange.run(tick_to(self.engine.now_us + seconds * SECOND))
        self.exchange.commit()

    def control(self, path: str, body: object) -> Any:
        status, answer = self.exchange.run(Command("POST", f"/exchange/v1/{path}", body=encode(body).decode()))
        assert status == 200, answer
        self.exchange.commit()
        return answer

    def arm(self, **rule: object) -> None:
        self.control("faults", [{"name": "trouble", **rule}])

    def price(self, symbol: str = ES) -> Decimal:
        last = self.engine.last_price(symbol)
        assert last is not None
        return self.engine.market.grids[symbol].usd(last)


def framed(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def contract(symbol: str = "", **more: str) -> list[object]:
    """Return the twelve fields that name a contract, here by its local symbol."""
    named = {"secType": "FUT", "exchange": "CME", "currency": "USD", "local": symbol, "root": "", "id": "0", **more}
    head = [named["id"], named["root"], named["secType"], more.get("month", ""), "0.0", "", ""]
    return [*head, named["exchange"], "", named["currency"], named["local"], ""]


def order(
    number: int,
    action: str = "BUY",
    qty: object = 1,
    kind: str = "MKT",
    *,
    symbol: str = ES,
    limit: str = "",
    stop: str = "",
    tif: str = "DAY",
    ref: str = "",
    parent: int = 0,
    transmit: int = 1,
    oca: str = "",
    oca_type: int = 0,
    what_if: int = 0,
) -> list[object]:
    """Return the message that places an order, as public clients write it at version 178."""
    head = [3, number, *contract(symbol), "", "", action, qty, kind, limit, stop, tif, oca, "", "O", 0, ref, transmit]
    shown = [parent, 0, 0, 0, 0, 0, 0, "", 0.0, "", "", "", "", "", "", 0, "", -1, oca_type, "", "", 0, "", "", 0, 0]
    prices = ["", 0, "", "", "", "", "", 0, "", "", "", "", 0, "", "", "", "", "", "", "", "", "", "", 0, "", "", 0]
    last = [0, "", "", what_if, "", 0, 0, 0, 0, "", "", "", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0]
    return [*head, *shown, *prices, *last, "", "", "", 0, "", ""]
