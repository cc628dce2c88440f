"""Define a venue driver: its capabilities, the names of its keys, and how to connect to it."""

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
"""The key and the secret that the embedded exchange accepts."""


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
    """The part of a bot's configuration that a venue reads."""

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
    """The inputs of a connection: the settings, the keys by field, and callbacks.

    `sandbox_url` is the address of the embedded exchange in sandbox mode, None in any other. `before_read` is called
    before each read and may raise; `heard` gets each reply before it is used. `folder` is for a venue's own files, None
    before the bot has a folder. `known` is given if the market's time stands still between requests: a venue may cache
    replies there until it sends something, and the code that advances time clears it. Requests go over `connection` if
    it is given, and else over the network. `ports` returns the embedded exchange's other ports, by protocol name.
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
    """One account at a venue, with its address and the name of its price feed."""

    @property
    def base_url(self) -> str:
        """Return the address, for people."""

    @property
    def feed(self) -> str:
        """Return the name of the price feed, for people."""


class Look(Struct, frozen=True):
    """The result of a venue's own check for `doctor`; see `commands.doctor.machine.CheckResult`."""

    state: HealthState
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""


class Checks(NamedTuple):
    """What `doctor` needs from a venue besides the ports; each function takes the connection first.

    `bar_times` returns when the latest minute bar of each of these symbols began, and `renamed` which symbols have been
    renamed since a day. `data_plan` describes the account's prices. `setting` names the setting that selects the
    prices. `own` are checks that only this venue has, by name; none of them may send an order.
    """

    bar_times: Callable[[Any, DriftTally, Sequence[str]], Mapping[str, datetime]]
    renamed: Callable[[Any, DriftTally, Sequence[str], date, date], Mapping[str, str]]
    data_plan: Callable[[Any, DriftTally, str], Look]
    setting: str
    own: Mapping[str, Callable[[Any, DriftTally], Look]] = MappingProxyType({})


class Rehearsal(NamedTuple):
    """The record of a paper bot required before a live one at the same venue can be armed.

    `hours` is how long passes must have reached the venue since the last crash, and `unbroken_s` the longest time
    without a gap. `trades` is the number of closed trades required.
    """

    hours: int
    unbroken_s: int
    trades: int


class Door(Struct, frozen=True):
    """The driver of one venue. `connect` raises OperatorError if mode, address and keys don't belong together.

    `market` returns the embedded exchange's settings for simulating the venue with a configuration's symbols; it raises
    OperatorError for symbols that it doesn't have. Without it, there are no sandboxes of the venue. `bell` listens for
    the venue's notifications; without it, a bot only polls. `symbol` returns the venue's symbol for a name that a
    person uses; it raises ValueError for an ambiguous name. `coin` returns what a symbol's price follows, such as BTC:
    limits count by symbol, so no two symbols of a universe may have the same one. `calendar` returns a symbol's
    calendar, or nothing for the venue's own. `contracts` fetches the symbols of all contracts that the venue lists;
    without it, there is no discovery. `months` returns the contracts of a root with a roll between two dates, in order,
    and the next one; without it, no contract here expires. `oddity` returns why a bar with these prices can't be the
    symbol's own, given the bar's day and today; without it, every bar is accepted. `statement` reads the executions of
    an account from a file of the venue's; it raises OperatorError. An adapter that is `in_process` sends its requests
    over `Access.connection`, so that a backtest needs no server. With a `rehearsal`, a live bot is armed only after a
    paper bot has met it.
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
