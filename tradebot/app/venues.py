"""The venues that a bot can trade at: what each can do, the names of its keys, and how to connect to it.

A package brings another venue through the entry-point group `tradebot.venues`: a function without arguments that
returns a `Door`, as `_alpaca` does. Until a bot names such a venue, installed packages aren't looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import date, datetime
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from tradebot.adapters.alpaca.capabilities import ALPACA
from tradebot.adapters.ibkr import capabilities as ibkr
from tradebot.adapters.kraken import capabilities as kraken
from tradebot.errors import OperatorError
from tradebot.model.venue import Capabilities

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.adapters.alpaca.bars import AlpacaBars
    from tradebot.adapters.alpaca.orders import AlpacaOrders
    from tradebot.adapters.alpaca.reader import AlpacaReader
    from tradebot.adapters.alpaca.venue import AlpacaVenue
    from tradebot.adapters.bars.source import BarSource
    from tradebot.adapters.wire.http import Answer, Session
    from tradebot.adapters.wire.rows import DriftTally
    from tradebot.app.sections import Sections
    from tradebot.exchange.market.venue import Venue
    from tradebot.judging.judgment import State
    from tradebot.model.instrument import Month
    from tradebot.model.order import Executed
    from tradebot.ports.broker import Bell, BrokerReader, Market, OrderPort

    class Reader(BrokerReader, Market, Protocol):
        """Reads account and prices from a venue."""


GROUP = "tradebot.venues"
EARLIER = ALPACA.name
"""The venue of every bot that was made before a bot named its venue."""


class Key(NamedTuple):
    """One of a venue's variables in the environment or in .env; of its `names`, the first one that is set counts."""

    field: str
    names: tuple[str, ...]
    secret: bool = True


KEYS: Mapping[str, tuple[Key, ...]] = {
    ALPACA.name: (
        Key("alpaca_key", ("ALPACA_KEY", "ALPACA_API_KEY", "APCA_API_KEY_ID")),
        Key("alpaca_secret", ("ALPACA_SECRET", "ALPACA_SECRET_KEY", "APCA_API_SECRET_KEY")),
        Key("alpaca_url", ("ALPACA_BASE_URL",), secret=False),
    ),
    kraken.KRAKEN.name: (
        Key("kraken_key", (kraken.KEY,)),
        Key("kraken_secret", (kraken.SECRET,)),
        Key("kraken_url", (kraken.URL,), secret=False),
    ),
    ibkr.IBKR.name: (
        Key("ibkr_host", (ibkr.HOST,), secret=False),
        Key("ibkr_port", (ibkr.PORT,), secret=False),
        Key("ibkr_client_id", (ibkr.CLIENT_ID,), secret=False),
    ),
}
"""The variables of the shipped venues, which every text keeps secret without loading how to connect to one."""


EARLIER_NAMES: Mapping[str, Mapping[str, str]] = {ibkr.IBKR.name: ibkr.EARLIER_NAMES}
"""Variables of earlier systems that name settings of a bot at a venue, by the end of our own variables' names."""


class Access(NamedTuple):
    """What a connection is made with: the settings, the keys by their fields, and who listens to it.

    `sandbox_url` is the address of the embedded exchange in sandbox mode, None in any other. `before_read` is called
    before each read and may raise; `heard` gets each answer before it is used. `folder` is where a venue that needs to
    remember something does so, None before the bot has a folder. `known` is given if the market's time stands still
    between requests: a venue may keep answers there until it sends something, and whoever moves the time clears it.
    Requests go over `connection` if it is given, and else over the network. `ports` asks for the embedded exchange's
    other ports, by the names of what is spoken there.
    """

    settings: Sections
    secrets: Mapping[str, str]
    sandbox_url: str | None
    before_read: Callable[[], None] = lambda: None
    heard: Callable[[Answer], None] = lambda answer: None
    folder: Path | None = None
    known: MutableMapping[tuple[object, ...], Any] | None = None
    connection: Session | None = None
    ports: Callable[[], Mapping[str, int]] = dict


class Connection(Protocol):
    """One account at a venue, with the address that it is reached at and the name of the prices that it gets."""

    @property
    def base_url(self) -> str:
        """Return the address, for people."""

    @property
    def feed(self) -> str:
        """Return the name of the prices, for people."""


class Look(Struct, frozen=True):
    """What a venue's own check for `doctor` has found; see `commands.doctor.checks.row.Seen`."""

    state: State
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""


class Checks(NamedTuple):
    """What `doctor` asks of a venue beyond the ports; each takes the connection first.

    `bar_times` returns when the latest minute bar of each of these symbols began, and `renamed` which symbols have
    another name since a day. `data_plan` says what the account's prices include. `setting` names the setting that
    selects the prices. `own` are rows that only this venue has, by name; none of them may send an order.
    """

    bar_times: Callable[[Any, DriftTally, Sequence[str]], Mapping[str, datetime]]
    renamed: Callable[[Any, DriftTally, Sequence[str], date, date], Mapping[str, str]]
    data_plan: Callable[[Any, DriftTally, str], Look]
    setting: str
    own: Mapping[str, Callable[[Any, DriftTally], Look]] = MappingProxyType({})


class Rehearsal(NamedTuple):
    """What a bot on paper has to have shown before a live one at the same venue can be armed.

    `hours` are those in which passes reached the venue, none of them before the last crash, and `unbroken_s` is the
    longest time without a gap. So many `trades` have to be closed.
    """

    hours: int
    unbroken_s: int
    trades: int


class Door(Struct, frozen=True):
    """The way to one venue. `connect` raises OperatorError if mode, address and keys don't belong together.

    `market` returns how the embedded exchange plays the venue with the symbols of a configuration; it raises
    OperatorError for symbols that it doesn't have. Without it, there are no sandboxes of the venue. `bell` listens to
    what the venue tells by itself; without it, a bot only asks. `symbol` returns the venue's symbol for what a person
    names; it raises ValueError for what could mean several things. `coin` returns what a symbol's price follows, such
    as BTC: limits count by symbol, so no two symbols of a universe may have the same one. `calendar` returns which one
    a symbol has, or nothing for the venue's own. `contracts` asks for the symbols of all contracts that the venue
    lists; without it, there is no discovery. `months` returns the contracts of a root that are left from one date to
    another, in order, and the one after them; without it, no contract here ends. `oddity` returns why a bar with these
    prices can't be the symbol's own: of which day it is, and what day is today; without
    it, every bar can be. `statement` reads the executions of an
    account from a file of the venue's; it raises OperatorError. An adapter that is `in_process` sends
    its requests over `Access.connection`, so that a backtest needs no server. With a `rehearsal`, a live bot is armed
    only once a bot on paper has shown that much.
    """

    capabilities: Capabilities
    keys: tuple[Key, ...]
    connect: Callable[[Access], Connection]
    reader: Callable[[Any, DriftTally], Reader]
    orders: Callable[[Any, DriftTally], OrderPort]
    bars: Callable[[Any, DriftTally], BarSource]
    checks: Checks
    market: Callable[[Sections], Venue] | None = None
    bell: Callable[[Any], Bell] | None = None
    symbol: Callable[[str], str] = lambda text: text.strip().upper()
    coin: Callable[[str], str] = str
    calendar: Callable[[str], str] = lambda symbol: ""
    contracts: Callable[[Any, DriftTally], Sequence[str]] | None = None
    months: Callable[[str, date, date], Sequence[Month]] | None = None
    oddity: Callable[[str, date, Sequence[float], date], str] | None = None
    statement: Callable[[bytes, str], Sequence[Executed]] | None = None
    in_process: bool = False
    rehearsal: Rehearsal | None = None


def door_to(name: str) -> Door:
    """Return the way to a venue; raise ValueError, naming the nearest, if none has this name."""
    shipped = _SHIPPED.get(name)
    return shipped() if shipped else _installed(name)


@cache
def _installed(name: str) -> Door:
    from importlib.metadata import entry_points

    from tradebot.model.text import known_name

    points = {point.name: point for point in entry_points(group=GROUP)}
    known_name(name, [*_SHIPPED, *sorted(points)], "venue")
    door = points[name].load()()
    if not isinstance(door, Door) or door.capabilities.name != name:
        raise ValueError(f"what is installed as {name!r} is no venue of that name")
    return door


def keys_of(name: str) -> tuple[Key, ...]:
    """Return the variables of a venue, and those of all shipped ones: a key left over in a shell is secret too."""
    own = KEYS[name] if name in KEYS else door_to(name).keys
    return tuple(dict.fromkeys((*own, *chain.from_iterable(KEYS.values()))))


def _alpaca() -> Door:
    return Door(
        capabilities=ALPACA,
        keys=KEYS[ALPACA.name],
        connect=_connect,
        reader=_reader,
        orders=_orders,
        bars=_bars,
        checks=Checks(
            lambda venue, tally, symbols: _reader(venue, tally).bar_times(symbols),
            lambda venue, tally, symbols, first, last: _bars(venue, tally).renamed(symbols, first, last),
            _data_plan,
            "alpaca.feed",
        ),
    )


def _kraken() -> Door:
    from tradebot.app.kraken_door import door

    return door()


def _ibkr() -> Door:
    from tradebot.app.ibkr_door import door

    return door()


_SHIPPED: Mapping[str, Callable[[], Door]] = {
    ALPACA.name: cache(_alpaca),
    kraken.KRAKEN.name: cache(_kraken),
    ibkr.IBKR.name: cache(_ibkr),
}
"""The venues that come with the bot, by name."""

SANDBOX_KEY = "sandbox"
"""The key and the secret that the embedded exchange takes."""


def _connect(access: Access) -> AlpacaVenue:
    from tradebot.adapters.alpaca.venue import AlpacaVenue

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
    from tradebot.adapters.alpaca.reader import AlpacaReader

    return AlpacaReader(venue, tally)


def _orders(venue: AlpacaVenue, tally: DriftTally) -> AlpacaOrders:
    from tradebot.adapters.alpaca.orders import AlpacaOrders

    return AlpacaOrders(venue, tally)


def _bars(venue: AlpacaVenue, tally: DriftTally) -> AlpacaBars:
    from tradebot.adapters.alpaca.bars import AlpacaBars

    return AlpacaBars(venue, tally)


def _data_plan(venue: AlpacaVenue, tally: DriftTally, symbol: str) -> Look:
    """Find out what the data plan includes: prices of one exchange (IEX) or of the whole market (SIP)."""
    from tradebot.adapters.alpaca.venue import SANDBOX_FEED
    from tradebot.adapters.alpaca.wire import NotInPlanError
    from tradebot.judging.judgment import State

    if venue.feed == SANDBOX_FEED:
        return Look(State.SKIPPED, "the embedded exchange has no data plans", "", 0)
    feed = venue.feed
    try:
        count = len(_reader(venue, tally).bar_times([symbol], "sip"))
    except NotInPlanError as refused:
        if feed == "sip":
            fix = "Set alpaca.feed: iex, or subscribe to the plan that includes SIP"
            return Look(State.FAILED, refused.message, "answer", fix=fix)
        return Look(State.OK, "the plan includes IEX but not SIP; feed iex matches it", "answer")
    better = "" if feed == "sip" else "; set alpaca.feed: sip to use it, because iex covers one exchange only"
    return Look(State.OK, f"the plan includes SIP, and the feed is {feed}{better}", "answer", max(count, 1))
