"""The venues that the suite asks: how each one's market is made and reached; and one of them, played in this process.

A third venue is one more row of VENUES. No test asks for a name: what it expects follows from the capabilities.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from exchange.tests.kit.cable import PORT, is_change, lay_cable
from exchange.tests.kit.wire import URL, Whole, Wire, lead
from papervenue.commands.command import Command
from papervenue.commands.control import ACCOUNTS, MAIN, RESET, TICK
from papervenue.exchange import Exchange, open_exchange
from papervenue.faults.fault_state import PATH as FAULTS
from papervenue.market.coins import kraken_venue
from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_BAR, Costs, FillSpec, MarketSpec
from papervenue.process import create
from tests.kit.elsewhere import place
from tests.kit.elsewhere.door import door as elsewhere
from tests.kit.elsewhere.door import with_brackets
from tests.kit.values import SHIPPED, new_intent
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.venues import driver_for
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.order import Order, OrderType, Reply
from tradebot.model.struct_tools import replace
from tradebot.venues.door import Access, VenueDriver
from tradebot.venues.ibkr.link import LinkTimeouts

# The roads to a venue: how requests of this process reach its exchange, and how they and their answers are watched.

AT_ONCE = RetryPolicy(attempts=3, sleep=lambda seconds: None)


def truth(body: Any) -> Any:
    """Return the body of an answer as it is."""
    return body


class Road(Protocol):
    """One way to an exchange.

    `sent` has every request that would change something, whether or not it arrives, and `requests` counts all. `lie`
    changes the body of each answer. An answer's `status` may be replaced by one of the `statuses`, if it has any. A
    read is tried again after `breaks` requests in a row that broke.
    """

    sent: list[object]
    requests: int
    lie: Callable[[Any], Any]
    status: int | None
    statuses: Sequence[int]
    breaks: int

    @abstractmethod
    def lay(self, patch: pytest.MonkeyPatch) -> None:
        """Lead this process's requests along it."""

    @abstractmethod
    def connect(self, exchange: Exchange) -> None:
        """Lead to an exchange."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    @abstractmethod
    def account(self, name: str) -> str:
        """Return the name of the account that a new test has."""

    @abstractmethod
    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        """Return where that account is asked for, and with what."""

    @abstractmethod
    def quick(self, connection: Any) -> Any:
        """Return a connection that doesn't wait between its tries."""

    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """Return the exchange's other ports."""

    def calm(self) -> None:
        """Let answers be what they are."""
        self.lie, self.status = truth, None


class Http(Road):
    """Requests and answers; each account has a key."""

    statuses, breaks = (302, 408, 429, 500, 503, 504), 2

    def __init__(self) -> None:
        self.sent, self.requests = [], 0
        self.calm()
        self._wire = Wire()

    def lay(self, patch: pytest.MonkeyPatch) -> None:
        lead(patch, self._urlopen)

    def connect(self, exchange: Exchange) -> None:
        self._wire.connect(exchange, lambda method, path, body: self.sent.append((method, path)))

    def close(self) -> None:
        self._wire.close()

    def account(self, name: str) -> str:
        return name

    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        return ACCOUNTS, {"name": name, "cash": str(cash)}

    def quick(self, connection: Any) -> Any:
        return replace(connection, policy=AT_ONCE)

    def ports(self) -> Mapping[str, int]:
        return {}

    def _urlopen(self, method: str, url: str, body: bytes | None, *rest: Any, **named: Any) -> Any:
        """Carry a request to the exchange, and its answer back."""
        self.requests += 1
        answer = self._wire.send(method, url, body, *rest, **named)
        if not isinstance(answer, Whole) or (self.lie is truth and self.status is None):
            return answer
        content = answer.read1(0)
        with suppress(ValueError):
            content = json.dumps(self.lie(json.loads(content))).encode()
        return Whole(self.status or answer.status, answer.headers, content)


class Socket(Road):
    """Messages over a socket, whose login has one account: each test begins with it anew."""

    statuses, breaks = (), 1

    def __init__(self) -> None:
        self.sent, self.requests = [], 0
        self.calm()
        self._link: Any = None

    def lay(self, patch: pytest.MonkeyPatch) -> None:
        self._cable = lay_cable(patch.setattr)

    def connect(self, exchange: Exchange) -> None:
        self._cable.connect(exchange, self._asked)

    def _asked(self, fields: Sequence[str]) -> None:
        self.requests += 1
        if is_change(fields):
            self.sent.append(tuple(fields[:2]))
        self._cable.lie = None if self.lie is truth else self.lie

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def account(self, name: str) -> str:
        self.close()
        return MAIN

    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        return RESET, {"account": name, "cash": str(cash)}

    def quick(self, connection: Any) -> Any:
        self._link = connection.link
        self._link.policy = AT_ONCE
        self._link.patience = LinkTimeouts(0.5, 0.5, 0.5, 0.5)
        return connection

    def ports(self) -> Mapping[str, int]:
        return {"tws": PORT}


START, EPOCH = date(2026, 11, 16), datetime(1970, 1, 1, tzinfo=UTC)
CASH = Decimal(10_000_000)
TOLD_WITHIN = timedelta(seconds=15)
"""How late a venue may tell what has happened: an end, a fee."""
MORNING, HOURS_LEFT = timedelta(minutes=30), timedelta(hours=2)
PARTS = 50
"""How many small orders are so large that it fills in parts, because few of a bar's units trade with us."""
PERPETUALS = ("PF_XBTUSD", "PF_ETHUSD")
FUTURES_START = date(2026, 9, 21)
"""Most of that autumn's trading is in one month, December."""
FUTURES, MICROS = futures_venue(FUTURES_START, 40, ("MES",)), ("MESZ6", "MESH7")
UNLISTED, UNTRADED, UNKNOWN_ID = "NO SUCH", "QZQZQ", "77777777-7777-4777-8777-777777777777"


class PlayedVenue(NamedTuple):
    """How to play one venue: the way to it, its market, the names of an account's keys, and packages to be found.

    A request sent `latest_s` seconds ago may still arrive there. If it has a `word_for_new`, it tells an order that it
    hasn't taken yet apart from one that works, and with a `word_for_expired` one that its life ended from one that was
    canceled. If its market orders `rest`, they fill bar by bar until all of it is bought. `fields` are its names of
    fields, where they are others than Alpaca's. Tests ask for the first two of `symbols`, or of the market's. It
    `forgets` fills and ended orders at the end of its day, and with them what they would prove. `reads` are the kinds
    of requests that reads make, and requests go over its `road`.
    """

    door: Callable[[], VenueDriver]
    market: MarketSpec
    keys: tuple[str, ...]
    site: Path | None = None
    latest_s: int = 119
    word_for_new: bool = True
    word_for_expired: bool = True
    rest: bool = True
    fields: Mapping[str, str] = {}
    symbols: tuple[str, ...] = ()
    forgets: bool = False
    reads: str | tuple[str, ...] = "any read"
    road: Callable[[], Road] = Http


def thin(share: str) -> FillSpec:
    """Return how orders fill where so little of a bar's units trades with us."""
    return NEXT_BAR._replace(volume_share=Decimal(share))


FEW_COSTS = Costs(commission_bps=Decimal(3))
VENUES = {
    "alpaca": PlayedVenue(
        lambda: driver_for("alpaca"),
        MarketSpec(start=START, symbols=("AAPL", "SPY"), sessions=30, fill=thin("0.001"), costs=FEW_COSTS),
        ("alpaca_key", "alpaca_secret"),
    ),
    "elsewhere": PlayedVenue(
        elsewhere, place.market(START, sessions=40, fill=thin("0.01")), ("elsewhere_key",), place.SITE
    ),
    "brackets": PlayedVenue(
        with_brackets,
        place.market(START, sessions=40, fill=thin("0.01"), brackets=True),
        ("elsewhere_key",),
        place.SITE,
    ),
    "kraken": PlayedVenue(
        lambda: driver_for("kraken_futures"),
        MarketSpec(start=START, symbols=PERPETUALS, sessions=40, fill=thin("0.001"), venue=kraken_venue(8, PERPETUALS)),
        ("kraken_key",),
        latest_s=59,
        word_for_new=False,
        rest=False,
        fields={"limit_price": "limitPrice", "cash": "balanceValue", "equity": "portfolioValue"},
    ),
    "ibkr": PlayedVenue(
        lambda: driver_for("ibkr"),
        MarketSpec(
            start=FUTURES_START,
            symbols=tuple(one.symbol for one in FUTURES.instruments),
            sessions=40,
            fill=thin("0.1"),
            venue=FUTURES,
        ),
        (),
        fields={"cash": "UnrealizedPnL", "equity": "NetLiquidation"},
        symbols=MICROS,
        word_for_expired=False,
        forgets=True,
        reads=("account", "positions", "orders", "order", "activities", "clock", "bars", "quotes"),
        road=Socket,
    ),
}


class Played:
    """One venue's exchange; its time only ever goes forward, and each test has an account of its own."""

    def __init__(self, venue: PlayedVenue, folder: Path, road: Road) -> None:
        create(folder, venue.market)
        self.door, self.venue, self.road = venue.door(), venue, road
        self.can = self.door.capabilities
        self.symbols = venue.symbols or venue.market.symbols
        self.exchange = open_exchange(folder)
        self.sent = road.sent
        road.connect(self.exchange)
        # So that there is a close before.
        self.tick(to="close")
        self._names = count(1)

    @property
    def has_keys(self) -> bool:
        """Return True if whoever asks shows a key, which may be refused."""
        return any(key.secret for key in self.door.keys)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the exchange's control."""
        status, answer = self.exchange.run(Command(method, path, body="" if body is None else json.dumps(body)))
        assert status == 200, answer
        return json.loads(answer)

    def tick(self, **step: object) -> None:
        """Let time pass."""
        self.control("POST", TICK, step)

    def passes(self, time: timedelta = TOLD_WITHIN) -> None:
        """Let so much time pass."""
        self.tick(seconds=time.total_seconds())

    def desk(self) -> "VenueAccount":
        """Open an account amid a session of which hours are left."""
        name = self.road.account(f"test-{next(self._names)}")
        opened = self.control("POST", *self.road.opening(name, CASH))
        desk = VenueAccount(self, name, opened["account_number"])
        clock = desk.reader.clock()
        if not clock.is_open or clock.next_close - clock.now < HOURS_LEFT:
            self.tick(**({"seconds": HOURS_LEFT.seconds} if self.can.day.never_ends else {"to": "next_open"}))
        (session,) = [one for one in desk.sessions() if one.contains(desk.now)]
        if desk.now - session.open < MORNING:
            self.passes(MORNING)
        self.sent.clear()
        return desk

    def access(self, name: str, **listeners: Any) -> Access:
        """Return what a connection of an account is made with."""
        return Access(SHIPPED, dict.fromkeys(self.venue.keys, name), URL, ports=self.road.ports, **listeners)


class VenueAccount:
    """One account at the venue, asked through its ports; what became of it is asked of the exchange's log."""

    def __init__(self, played: Played, name: str, number: str) -> None:
        self.played, self.can, self.name, self.number = played, played.can, name, number
        self.symbol, self.other = played.symbols
        door, self.tally = played.door, DriftTally()
        connection: Any = played.road.quick(door.connect(played.access(name)))
        self.reader, self.orders = door.reader(connection, self.tally), door.orders(connection, self.tally)
        self.bars = door.bars(connection, self.tally)
        self._first, self._names, self._armed = played.exchange.log.count, count(1), 0
        self._listed: Mapping[str, Listing] = {}

    @property
    def now(self) -> datetime:
        """Return the venue's time, as its clock would tell it."""
        return EPOCH + timedelta(microseconds=self.played.exchange.engine.now_us)

    @property
    def listing(self) -> Listing:
        """Return how the symbol of most questions is listed."""
        self._listed = self._listed or self.reader.listings([self.symbol, self.other])
        return self._listed[self.symbol]

    @property
    def size(self) -> Decimal:
        """Return a small quantity."""
        return 10 * self.listing.minimum

    def price(self, factor: str = "1", symbol: str = "") -> Decimal:
        """Return a price on a tick, so many times the last one, by default of the first symbol."""
        symbol = symbol or self.symbol
        last = self.reader.quotes([symbol])[symbol].last
        return self.reader.listings([symbol])[symbol].on_tick(last * Decimal(factor), ROUND_HALF_UP)

    def sessions(self) -> list[Session]:
        """Return the sessions around now."""
        today, week = self.can.day.date_of(self.now), timedelta(days=7)
        return list(self.reader.calendar(today - week, today + week))

    def intent(self, side: Side = Side.BUY, **changes: Any) -> Intent:
        """Return a limit buy far below the market under an id of its own, or what the changes say."""
        slot, purpose = f"slot {next(self._names)}", changes.get("purpose", Purpose.OPEN)
        key = IntentKey(self.number, "flow", date(2026, 11, 16), slot, self.symbol, side, purpose)
        usual = {"quantity": self.size, "time_in_force": self.can.resting_life, "at": self.now, **changes}
        made = new_intent(key, self.listing.instrument, **usual)
        priced = made.limit_price is not None or made.order_type is not OrderType.LIMIT
        return made if priced else replace(made, limit_price=self.price("0.8", made.instrument.symbol))

    def at_market(self, side: Side = Side.BUY, **changes: Any) -> Intent:
        """Return an order at the market."""
        life = self.can.passing_life
        return self.intent(side, **{"order_type": OrderType.MARKET, "time_in_force": life, **changes})

    def cancel_of(self, order: Order) -> Intent:
        """Return what asks to cancel an order."""
        return self.intent(operation=Operation.CANCEL, target_venue_id=order.venue_id)

    def rests(self, **changes: Any) -> tuple[Intent, Order]:
        """Let an order rest at the venue."""
        intent = self.intent(**changes)
        return intent, made(self.orders.submit(intent))

    def trades(self, side: Side, quantity: Decimal, **changes: Any) -> Intent:
        """Trade at the market, and let the venue tell all of it."""
        if self.played.venue.rest:
            intent = self.at_market(side, quantity=quantity, **changes)
        else:
            limit = self.price("1.05" if side is Side.BUY else "0.95")
            intent = self.intent(side, quantity=quantity, limit_price=limit, **changes)
        made(self.orders.submit(intent))
        self.until(lambda: self.reader.end_of(intent, self.sessions(), self.now).end.value == "over")
        self.played.passes()
        return intent

    def until(self, done: Callable[[], object], minutes: int = 120) -> None:
        """Let minutes pass until something has happened."""
        for _ in range(minutes):
            if done():
                return
            self.played.passes(timedelta(minutes=1))
        raise AssertionError("it never happened")

    def trouble(self, what: object, **when: object) -> None:
        """Let the exchange do something to this account alone."""
        self._armed += 1
        rule = {"name": f"{self.name}-{self._armed}", "when": {"account": self.name, **when}, "what": what}
        self.played.control("POST", FAULTS, [rule])

    def calm(self) -> None:
        """End all troubles."""
        self.played.control("DELETE", FAULTS)

    def logged(self, *names: str) -> list[dict[str, Any]]:
        """Return what the log tells of this account: events of these names."""
        events = (json.loads(line) for line in self.played.exchange.log.lines(self._first))
        return [event for event in events if event.get("account") == self.number and event["event"] in names]

    def accepted(self, name: str) -> int:
        """Return how many orders the venue has made under a client id."""
        return sum(event["client_order_id"] == name for event in self.logged("order_accepted"))


def made(reply: Reply) -> Order:
    """Return the order of an accepted request."""
    assert reply.outcome.value == "accepted", reply
    assert reply.order is not None
    return reply.order


@contextmanager
def playing(venue: PlayedVenue, folder: Path) -> Iterator[Played]:
    """Play a venue for as long as the block runs: requests to it go to its exchange in place of a socket."""
    with pytest.MonkeyPatch.context() as patch:
        if venue.site:
            patch.syspath_prepend(venue.site)
        road = venue.road()
        road.lay(patch)
        yield Played(venue, folder, road)
        road.close()
