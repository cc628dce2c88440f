"""What a door to a venue has: what the venue can do, the names of its keys, and how to connect to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from tradebot.model.venue import Capabilities

if TYPE_CHECKING:
    from pathlib import Path

    from papervenue.market.venue import Venue
    from tradebot.adapters.bars.store import BarSource
    from tradebot.adapters.wire.http import HttpReply, HttpSession
    from tradebot.adapters.wire.json_fields import DriftTally
    from tradebot.judging.judgment import HealthState
    from tradebot.model.instrument import ContractMonth
    from tradebot.model.order import Executed
    from tradebot.model.registry import RegistryRules
    from tradebot.model.trading import Mode
    from tradebot.ports.broker import Bell, BrokerReader, Market, OrderPort
    from tradebot.venues.alpaca.settings import AlpacaSettings

    class Reader(BrokerReader, Market, Protocol):
        """Reads account and prices from a venue."""


SANDBOX_KEY = "sandbox"
"""The key and the secret that the embedded exchange takes."""


class Key(NamedTuple):
    """A variable of a venue in the environment or .env; the first of its `names` that is set is used."""

    field: str
    names: tuple[str, ...]
    secret: bool = True


class MarketSettings(Protocol):
    """The embedded exchange's settings that depend on the venue."""

    @property
    def start(self) -> date: ...
    @property
    def sessions(self) -> int: ...
    @property
    def seed(self) -> int: ...


class VenueSettings(Protocol):
    """What a venue reads of a bot's configuration."""

    @property
    def mode(self) -> Mode: ...
    @property
    def universe(self) -> Sequence[str]: ...
    @property
    def registry(self) -> RegistryRules | None: ...
    @property
    def sandbox(self) -> MarketSettings: ...
    @property
    def alpaca(self) -> AlpacaSettings: ...


class Access(NamedTuple):
    """What a connection is made with: the settings, the keys by their fields, and who listens to it.

    `sandbox_url` is the address of the embedded exchange in sandbox mode, None in any other. `before_read` is called
    before each read and may raise; `heard` gets each answer before it is used. `folder` is where a venue that needs to
    remember something does so, None before the bot has a folder. `known` is given if the market's time stands still
    between requests: a venue may keep answers there until it sends something, and whoever moves the time clears it.
    Requests go over `connection` if it is given, and else over the network. `ports` asks for the embedded exchange's
    other ports, by the names of what is spoken there.
    """

    settings: VenueSettings
    secrets: Mapping[str, str]
    sandbox_url: str | None
    before_read: Callable[[], None] = lambda: None
    heard: Callable[[HttpReply], None] = lambda answer: None
    folder: Path | None = None
    known: MutableMapping[tuple[object, ...], Any] | None = None
    connection: HttpSession | None = None
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
    """What a venue's own check for `doctor` has found; see `commands.doctor.machine.CheckResult`."""

    state: HealthState
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
    market: Callable[[VenueSettings], Venue] | None = None
    bell: Callable[[Any], Bell] | None = None
    symbol: Callable[[str], str] = lambda text: text.strip().upper()
    coin: Callable[[str], str] = str
    calendar: Callable[[str], str] = lambda symbol: ""
    contracts: Callable[[Any, DriftTally], Sequence[str]] | None = None
    months: Callable[[str, date, date], Sequence[ContractMonth]] | None = None
    oddity: Callable[[str, date, Sequence[float], date], str] | None = None
    statement: Callable[[bytes, str], Sequence[Executed]] | None = None
    in_process: bool = False
    rehearsal: Rehearsal | None = None
