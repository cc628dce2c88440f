"""The ports and rules of a pass in one bundle. Sandbox, paper, live and tests differ only in the values of this bundle.

The port to a source of options flow is here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct, field

from tradebot.exits.rules import Exits, account_rules, effective_rules
from tradebot.model.costs import CostModel
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import NEWS, Allowance, FlowPage, FlowWindow, Intake, StreamRows
from tradebot.model.limits import (
    ApprovalRules,
    DisplacementRules,
    ExitRules,
    HaltRules,
    Limits,
    StrategyRules,
    tightest,
)
from tradebot.model.order import MARKETABLE, Execution
from tradebot.model.position import EntryTerms, Position
from tradebot.model.record import CycleRecord, Job
from tradebot.model.registry import RegistryRules
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode, Permission, RungReached, mode_name

if TYPE_CHECKING:
    from tradebot.model.instrument import Listing
    from tradebot.model.venue import Capabilities
    from tradebot.ports.broker import BrokerReader, Market, OrderPort, SendLock, Undisturbed
    from tradebot.ports.stores import Approvals, Bars, Events, Facts, Features, Ledger
    from tradebot.ports.strategy import Strategy


class FlowSource(Protocol):
    """A source of options flow, with unparsed rows.

    Methods raise TemporaryError if the source doesn't answer or the daily quota is used up, OperatorError on bad keys.
    """

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the source's reply about one kind of facts, symbol (None if the kind is market-wide) and session."""

    def calls_left(self) -> int | None:
        """Return how many calls the timetable may still make today; None if there is no limit."""


class HeadlineSource(Protocol):
    """A source of headlines, besides the flow. Its methods raise TradebotError if there is no complete answer."""

    def headlines(self, since: datetime, until: datetime) -> Sequence[object]:
        """Return all headlines published in a period, unparsed, as rows with the fields of `signals.headlines`."""


class AlertStream(Protocol):
    """Flow alerts of the whole market as they arrive. It reconnects automatically."""

    def take(self) -> StreamRows:
        """Return the rows received since the last call, without waiting; raise OperatorError if keys are rejected."""

    def renew(self) -> None:
        """Reconnect, because the connection doesn't deliver as expected."""


T = TypeVar("T")

Progress = Callable[[int, int], None]


class Rules(Struct, frozen=True, dict=True):
    """The part of the configuration that the trading core needs; `poll_s` has polling intervals by kind.

    `themes` has the theme of each symbol, or None, and `betas` its beta. `funds` are the symbols that are funds. `flow`
    says which alerts count; None if the flow strategy is off. `displacement` and `approval` are the account's; None if
    off. `registry` says which symbols may be entered; None if off. `pinned` are the symbols that it pins to the highest
    tier. `coin` returns the coin that a symbol's price follows, and `perpetual` the symbol that a coin is traded as;
    both raise ValueError if unclear. `fetch_times` are the times of fetch-flow, and `allowance` the flow source's
    limits; None without limits. `standing` are the contracts that are now chosen for their roots; positions in earlier
    contracts are rolled into them. `streamed` is True if alerts also come over a stream. `costs` are the assumed
    trading costs, or None. `news_apart` is True if headlines have another source than the flow, and `news_allowance`
    has that source's limits.
    """

    mode: Mode
    universe: Sequence[str]
    sectors: Mapping[str, str]
    limits: Limits
    halts: HaltRules
    exits: ExitRules
    poll_s: Mapping[str, int]
    own: Mapping[str, StrategyRules] = field(default_factory=dict)
    own_exits: Mapping[str, Exits] = field(default_factory=dict)
    execution: Execution = MARKETABLE
    themes: Mapping[str, str | None] = field(default_factory=dict)
    betas: Mapping[str, Decimal] = field(default_factory=dict)
    funds: frozenset[str] = frozenset()
    flow: FlowWindow | None = None
    displacement: DisplacementRules | None = None
    approval: ApprovalRules | None = None
    registry: RegistryRules | None = None
    pinned: frozenset[str] = frozenset()
    coin: Callable[[str], str] = str
    perpetual: Callable[[str], str] = str
    fetch_times: str = ""
    allowance: Allowance | None = None
    streamed: bool = False
    costs: CostModel | None = None
    standing: frozenset[str] = frozenset()
    news_apart: bool = False
    news_allowance: Allowance | None = None

    def flow_kinds(self, kinds: frozenset[str]) -> frozenset[str]:
        """Return which of these kinds of facts come from the flow source."""
        return kinds - {NEWS} if self.news_apart else kinds

    def is_apart(self, kind: AnyKind) -> bool:
        """Return True if a kind of facts has another source than the flow."""
        return self.news_apart and kind.name == NEWS

    def exits_of(self, strategy: str) -> Exits:
        """Return the exit rules of a strategy's positions: its own list, or else the account's."""
        own = self.own_exits.get(strategy)
        return self._account_exits if own is None else own

    def exits_watching(self, position: Position, kept: EntryTerms) -> Exits:
        """Return a position's rules, including the stop and targets that it was opened with."""
        return effective_rules(self.exits_of(position.strategy), kept)

    @property
    def tightest(self) -> Limits:
        return tightest(self.limits, *(rules.limits for rules in self.own.values()))

    def of(self, strategy: str) -> StrategyRules:
        """Return the rules of one strategy; a name without its own rules, such as "adopted", has the account's."""
        return self.own.get(strategy) or self._of_others

    @cached_property
    def every_symbol(self) -> tuple[str, ...]:
        """Return all tradable symbols: the account's universe, and its strategies' universes."""
        own = (symbol for rules in self.own.values() for symbol in rules.universe)
        return tuple(dict.fromkeys((*self.universe, *own)))

    def with_shares(self, climbed: Mapping[str, RungReached] | None) -> Rules:
        """Return the rules with smaller allotments for strategies that may use only a part of theirs for entries.

        A strategy that may not enter at all keeps its allotment, because its positions are measured by it.
        """
        parts = {name: rung.share for name, rung in (climbed or {}).items() if 0 < rung.share < 1 and name in self.own}
        own = {
            name: replace(self.own[name], allotment_fraction=self.own[name].allotment_fraction * part)
            for name, part in parts.items()
        }
        return replace(self, own={**self.own, **own}) if own else self

    def with_contracts(self, listings: Mapping[str, Listing]) -> Rules:
        """Return the rules with expiring contracts given the sector, theme and beta of another contract of their root.

        During a roll, a position is in the contract before or after the configured one.
        """
        unnamed = [symbol for symbol, listing in listings.items() if listing.rolling and symbol not in self.sectors]
        if not unnamed:
            return self
        named = {self._coin_or_self(symbol): symbol for symbol in self.sectors}
        same = {symbol: named[coin] for symbol in unnamed if (coin := self._coin_or_self(symbol)) in named}
        return replace(
            self,
            sectors={**self.sectors, **_shared_values(self.sectors, same)},
            themes={**self.themes, **_shared_values(self.themes, same)},
            betas={**self.betas, **_shared_values(self.betas, same)},
        )

    def _coin_or_self(self, symbol: str) -> str:
        try:
            return self.coin(symbol)
        except ValueError:
            return symbol

    # A pass asks for both many times.
    @cached_property
    def _account_exits(self) -> Exits:
        return account_rules(self.exits)

    @cached_property
    def _of_others(self) -> StrategyRules:
        return StrategyRules(
            self.universe,
            self.limits,
            execution=self.execution,
            displacement=self.displacement,
            approval=self.approval,
            costs=self.costs,
        )


def _nobody_asks() -> Approvals:
    raise AssertionError("no strategy may ask for approval in this world")


def _shared_values(values: Mapping[str, T], same: Mapping[str, str]) -> Mapping[str, T]:
    return {symbol: values[other] for symbol, other in same.items() if other in values}


class World(Struct, frozen=True):
    """The ports that a pass works with.

    `stopwatch` returns seconds that keep counting while the machine sleeps. `second_clock` is compared with the venue's
    clock: it is this machine's clock, or the engine's own in lock-step, and it returns None while unavailable.

    `orders` is None in a dry run and in shadow, so that nothing can be sent. A dry run also writes nothing; shadow
    records its decisions and the orders it would have sent.

    `give_way` raises YieldToExits if an exit pass is waiting for this one; the reader calls it before each request.
    Inside `undisturbed`, a pass doesn't yield.

    `needed_facts` are the kinds of flow facts that the strategies need, in the order in which they are fetched, each
    with its symbols. They are set only for a pass that fetches flow. `keep_reply` archives a raw reply of the flow
    source, with its session and time of arrival; it never raises. `reading` parses a reply as of its arrival, like
    `signals.normalize`; it may cache the rows of earlier replies. `code` returns the digest of each strategy's code, by
    name. `approvals` opens the requests for approval. `contracts` fetches the symbols of all the venue's contracts,
    including repeats; None if the venue has no such list. `features` returns features of bars computed in advance, as
    in a backtest; otherwise each pass computes them from its `bars`. With `ask_declined`, gates are also evaluated for
    entries that their own strategy declines, as earlier versions of tradebot did.
    """

    rules: Rules
    permission: Permission
    reader: BrokerReader
    market: Market
    bars: Bars
    orders: OrderPort | None
    send_lock: SendLock
    flow: FlowSource
    ledger: Ledger
    facts: Facts
    events: Events
    strategies: Sequence[Strategy]
    progress: Progress = lambda done, total: None
    stopwatch: Callable[[], float] = lambda: 0.0
    second_clock: Callable[[], datetime | None] = lambda: None
    shadow: bool = False
    give_way: Callable[[], None] = lambda: None
    undisturbed: Undisturbed = nullcontext
    needed_facts: Mapping[AnyKind, Sequence[str]] = field(default_factory=dict)
    keep_reply: Callable[[FlowPage, date, datetime], None] = lambda page, session, at: None
    reading: Callable[[AnyKind, FlowPage, datetime], Intake] | None = None
    code: Callable[[], Mapping[str, str]] = dict
    approvals: Callable[[], Approvals] = _nobody_asks
    contracts: Callable[[], Sequence[str]] | None = None
    features: Features | None = None
    ask_declined: bool = False

    @property
    def venue(self) -> Capabilities:
        """Return the venue's capabilities."""
        return self.reader.capabilities

    @property
    def dry_run(self) -> bool:
        return self.orders is None and not self.shadow

    @property
    def mode_name(self) -> str:
        return mode_name(self.rules.mode, shadow=self.shadow)

    def record(self, cycle: CycleRecord) -> CycleRecord:
        """Record a pass so that it can be explained later; a dry run records nothing."""
        if not self.dry_run:
            self.facts.record(cycle)
        return cycle


class Call(Struct, frozen=True):
    """One run of a job: the slot it fills, and who started it."""

    job: Job
    session: date
    slot: str
    by: str

    @property
    def cycle_id(self) -> str:
        """Return the id of the pass, which is the same every time the same slot is run."""
        return f"{self.job}.{self.session.isoformat()}.{self.slot}"
