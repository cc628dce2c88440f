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
    from tradebot.ports.broker import AccountSignal, BrokerReader, Market, OrderPort
    from tradebot.ports.world import HeadlineSource
    from tradebot.venues.alpaca.settings import AlpacaSettings

    class Reader(BrokerReader, Market, Protocol):
        """Reads account and prices from a venue."""


SANDBOX_KEY = "sandbox"
"""The key and the secret that the embedded exchange accepts."""


class Key(NamedTuple):
    """A variable of a venue, from the environment or .env; the first of its `names` that is set is used."""

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
    @property
    def source(self) -> str: ...


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
    """The inputs of a connection: settings, keys by field name, and callbacks.

    `sandbox_url` is the embedded exchange's address in sandbox mode, otherwise None. `before_read` is called before
    each read and may raise; `heard` gets each reply before it is used. `folder` is for a venue's own files; it is None
    until the bot has a folder. `known` is set if the market's time stands still between requests: a venue may cache
    replies there until it sends something, and the code that advances time clears it. Requests go over `connection` if
    it is set, otherwise over the network. `ports` has the embedded exchange's other ports, by protocol name.
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


class VenueCheck(Struct, frozen=True):
    """The result of a venue's own check in `doctor`; see `commands.doctor.machine.CheckResult`."""

    state: HealthState
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""


class Checks(NamedTuple):
    """The checks that `doctor` needs from a venue in addition to its ports; each function takes the connection first.

    `bar_times` returns when the latest minute bar of each symbol began, and `renamed` which symbols were renamed since
    a day. `data_plan` describes the account's price data. `setting` names the setting that selects the price feed.
    `own` has further checks of this venue, by name; no check may send an order.
    """

    bar_times: Callable[[Any, DriftTally, Sequence[str]], Mapping[str, datetime]]
    renamed: Callable[[Any, DriftTally, Sequence[str], date, date], Mapping[str, str]]
    data_plan: Callable[[Any, DriftTally, str], VenueCheck]
    setting: str
    own: Mapping[str, Callable[[Any, DriftTally], VenueCheck]] = MappingProxyType({})


class Rehearsal(NamedTuple):
    """The paper trading that is required before a live bot at this venue can be armed.

    Passes must have reached the venue for `hours` hours since the last crash, not counting breaks, and for `unbroken_s`
    seconds without a gap. `trades` is the required number of closed trades.
    """

    hours: int
    unbroken_s: int
    trades: int


class VenueDriver(Struct, frozen=True):
    """The driver of one venue.

    `connect` raises OperatorError if mode, address and keys don't match. `market` returns the settings with which the
    embedded exchange simulates the venue with a configuration's symbols; it raises OperatorError for unknown symbols,
    and without it the venue has no sandbox. `bell` subscribes to the venue's notifications; without it, a bot only
    polls. `symbol` converts a name that people use to the venue's symbol, and raises ValueError for an ambiguous one.
    `coin` returns the underlying of a symbol, such as BTC: limits count by symbol, so a universe may have only one
    symbol of each underlying. `calendar` returns a symbol's calendar, or nothing for the venue's own. `contracts`
    fetches the symbols of all contracts that the venue lists; without it, there is no discovery. `months` returns the
    contracts of a root that roll between two dates, in order, and the next one; without it, no contract expires.
    `oddity` says why a bar can't belong to a symbol, given the bar's prices, its day and today's date; without it,
    every bar is accepted. `statement` parses an account's executions from one of the venue's statements; it raises
    OperatorError. If `in_process` is set, the adapter sends its requests over `Access.connection`, so that a backtest
    needs no server. `headlines` opens the venue's own source of headlines about some symbols; without it, the venue has
    none. With a `rehearsal`, a live bot can only be armed after a paper bot has met its conditions.
    """

    capabilities: Capabilities
    keys: tuple[Key, ...]
    connect: Callable[[Access], Connection]
    reader: Callable[[Any, DriftTally], Reader]
    orders: Callable[[Any, DriftTally], OrderPort]
    bars: Callable[[Any, DriftTally], BarSource]
    checks: Checks
    market: Callable[[VenueSettings], Venue] | None = None
    bell: Callable[[Any], AccountSignal] | None = None
    symbol: Callable[[str], str] = lambda text: text.strip().upper()
    coin: Callable[[str], str] = str
    calendar: Callable[[str], str] = lambda symbol: ""
    contracts: Callable[[Any, DriftTally], Sequence[str]] | None = None
    months: Callable[[str, date, date], Sequence[ContractMonth]] | None = None
    oddity: Callable[[str, date, Sequence[float], date], str] | None = None
    statement: Callable[[bytes, str], Sequence[Executed]] | None = None
    headlines: Callable[[Any, Sequence[str]], HeadlineSource] | None = None
    in_process: bool = False
    rehearsal: Rehearsal | None = None


Door = VenueDriver
"""The former name of VenueDriver, which venue packages of other authors may still import."""
