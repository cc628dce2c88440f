"""Gateways to test against: the embedded exchange's, and one on a socket that says exactly what a test wants."""

import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.tests.kit.served import Served, served
from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_BAR, MarketSpec
from papervenue.process import create
from tests.kit.values import new_intent
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import AssetClass, Instrument
from tradebot.model.intent import Intent, IntentKey
from tradebot.model.order import Order, Reply, TimeInForce
from tradebot.model.trading import Mode
from tradebot.venues.ibkr.link import IbkrLink, IbkrVenue, LinkTimeouts
from tradebot.venues.ibkr.orders import IbkrOrders
from tradebot.venues.ibkr.prices import IbkrBars
from tradebot.venues.ibkr.reader import IbkrReader

START, SYMBOL, CLIENT_ID = date(2026, 11, 16), "ESZ6", 9102
SOON = LinkTimeouts(connect=0.3, answer=0.3, order=0.3, quote=0.3, freed=0.3)
AT_ONCE = RetryPolicy(attempts=2, sleep=lambda seconds: None)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ES = Instrument(
    symbol=SYMBOL,
    asset_class=AssetClass.FUTURE,
    multiplier=Decimal(50),
    tick=Decimal("0.25"),
    lot=Decimal(1),
    currency="USD",
    calendar="CME Globex Equity",
)
_numbers = itertools.count(1)


def intent(side: Side = Side.BUY, **changes: Any) -> Intent:
    """Return a limit order far from the market, under an id of its own."""
    key = IntentKey("A", "flow", START, f"slot {next(_numbers)}", SYMBOL, side, Purpose.OPEN)
    usual = {"quantity": Decimal(2), "limit_price": Decimal("5000.25"), "time_in_force": TimeInForce.GTC}
    return new_intent(key, ES, **{**usual, "at": datetime(2026, 11, 16, 1, 0, tzinfo=UTC), **changes})


def made(reply: Reply) -> Order:
    """Return the order of an accepted request."""
    assert reply.outcome.value == "accepted", reply
    assert reply.order is not None
    return reply.order


class Connection:
    """One process's connection to a Gateway."""

    def __init__(self, port: int, client_id: int = CLIENT_ID, patience: LinkTimeouts = SOON) -> None:
        self.venue = IbkrVenue(Mode.SANDBOX, IbkrLink("127.0.0.1", port, client_id, AT_ONCE, patience))
        self.tally = DriftTally()
        self.reader = IbkrReader(self.venue, self.tally)
        self.orders = IbkrOrders(self.venue, self.tally)
        self.bars = IbkrBars(self.venue, self.tally)

    @property
    def findings(self) -> list[str]:
        """Return what was found to differ."""
        return [f"{one.field} {one.problem}" for one in self.tally.counts]

    def close(self) -> None:
        """End the process."""
        self.venue.link.close()


@contextmanager
def desk(port: int, client_id: int = CLIENT_ID, patience: LinkTimeouts = SOON) -> Iterator[Connection]:
    """Connect for as long as the block runs."""
    one = Connection(port, client_id, patience)
    try:
        yield one
    finally:
        one.close()


class Exchange:
    """The embedded exchange, which speaks TWS, in a session of which hours are left."""

    def __init__(self, place: Served) -> None:
        self.place, self.port = place, place.ports["tws"]
        place.tick(to="next_open")
        place.tick(seconds=7_200)

    @property
    def now(self) -> datetime:
        """Return its time."""
        return EPOCH + timedelta(microseconds=self.place.exchange.engine.now_us)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.place.tick(seconds=seconds)

    def trouble(self, what: object, **when: object) -> None:
        """Let it do something wrong."""
        rule = {"name": f"t{next(_numbers)}", "when": when, "what": what}
        answer = self.place.ask("POST", "/exchange/v1/faults", [rule])
        assert answer.status_code == 200, answer.text

    def calm(self) -> None:
        """End all troubles."""
        self.place.ask("DELETE", "/exchange/v1/faults")

    def accepted(self, client_order_id: str) -> int:
        """Return how many orders it has made under a mark."""
        events = (json.loads(line) for line in self.place.exchange.log.lines(0))
        return sum(e["event"] == "order_accepted" and e.get("client_order_id") == client_order_id for e in events)


@contextmanager
def exchange(folder: Path) -> Iterator[Exchange]:
    """Serve an exchange that lists months of one future for as long as the block runs."""
    venue = futures_venue(START, 5, ("ES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    create(folder, MarketSpec(start=START, symbols=symbols, sessions=5, fill=NEXT_BAR, venue=venue))
    with served(folder) as place:
        yield Exchange(place)


Message = Sequence[object]
HELLO: Message = ("178", "20261116 01:00:00 UTC")
ACCOUNTS, NEXT_ID = (15, 1, "DU1"), (9, 1, 1)
VALUES = {
    "NetLiquidation": "100000",
    "UnrealizedPnL": "0",
    "PreviousDayEquityWithLoanValue": "100000",
    "AvailableFunds": "100000",
    "InitMarginReq": "0",
    "MaintMarginReq": "0",
    "BuyingPower": "100000",
}


def usual(fields: Sequence[str]) -> list[Message]:
    """Return what a Gateway says that holds nothing."""
    number = int(fields[0]) if fields[0].isdecimal() else 0
    values = [(6, 2, name, value, "USD", "DU1") for name, value in VALUES.items()]
    answers: dict[int, list[Message]] = {
        71: [ACCOUNTS, NEXT_ID],
        61: [(62, 1)],
        6: [*values, (54, 1, "DU1")] if fields[2:3] == ["1"] else [],
        16: [(53, 1)],
        99: [(102,)],
        7: [(55, 1, fields[2] if len(fields) > 2 else 0)],
        49: [(49, 1, 1_794_790_800)],
    }
    return answers.get(number, [])


class ScriptedGateway:
    """A Gateway on a socket whose answers a test writes; `heard` has what clients have sent, with the time."""

    def __init__(self, answer: Callable[[Sequence[str]], list[Message]] = usual, greets: bool = True) -> None:
        self.answer, self._greets = answer, greets
        self.heard: list[Sequence[str]] = []
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        try:
            assert stream.read(4) == b"API\0"
            self._read(stream)
            if not self._greets:
                stream.read(1)
                return
            self._send(client, [HELLO])
            while True:
                fields = self._read(stream)
                self.heard.append(fields)
                self._send(client, self.answer(fields))
        except (OSError, EOFError):
            return

    def _read(self, stream: Any) -> list[str]:
        head = stream.read(4)
        if len(head) < 4:
            raise EOFError
        return str(stream.read(struct.unpack(">I", head)[0]).decode()).removesuffix("\0").split("\0")

    def _send(self, client: socket.socket, messages: Sequence[Message]) -> None:
        client.sendall(b"".join(framed(one) for one in messages))

    def say(self, *messages: Message) -> None:
        """Say something unasked to whoever is connected."""
        self.send(b"".join(framed(one) for one in messages))

    def send(self, data: bytes) -> None:
        """Send bytes to whoever is connected."""
        self._clients[-1].sendall(data)

    def hang_up(self) -> None:
        """End all connections."""
        for client in self._clients:
            client.shutdown(socket.SHUT_RDWR)
            client.close()
        self._clients.clear()

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with_clients = [*self._clients]
        for client in with_clients:
            client.close()


@contextmanager
def scripted(
    answer: Callable[[Sequence[str]], list[Message]] = usual, *, greets: bool = True
) -> Iterator[ScriptedGateway]:
    """Run such a Gateway for as long as the block runs."""
    one = ScriptedGateway(answer, greets)
    try:
        yield one
    finally:
        one.close()


def framed(message: Message) -> bytes:
    """Return a message as it is on the wire."""
    payload = "".join(f"{field}\0" for field in message).encode()
    return struct.pack(">I", len(payload)) + payload
