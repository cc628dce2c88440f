"""Run a backtest from its plan to its end, session by session, so that it can be watched and stopped in between.

An unfinished backtest is saved between two sessions, so that it can continue later exactly as if it had never stopped.
A checkpoint has everything that the run has changed: the engine's accounts, orders and agenda, the books, and the
records. A backtest is deterministic, so starting over would give the same result, but would take as long again. A
checkpoint contains only plain values of our own types, so reading one never creates an object of another class.
"""

from __future__ import annotations

import pickle
from dataclasses import fields
from io import BytesIO
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from papervenue.times import MINUTE
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.rules import rules_of
from tradebot.app.venues import driver_for
from tradebot.desk.auto_halt import accept_causes
from tradebot.desk.contract_rolls import choose
from tradebot.errors import OperatorError
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.session_answers import ask_for_sessions, session_plugins
from tradebot.lab.backtest.setup import BacktestSetup, Margin, RestorableParts, assemble
from tradebot.lab.driver.driver import Driver, DriverTerms
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from papervenue.market.spec import MarketSpec
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.historical_flow import PastFlow
    from tradebot.lab.backtest.venue import EquityAt
    from tradebot.model.record import CycleRecord, SessionEnd
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import World

_HEADER = b"tradebot checkpoint 2\n"

_OURS = (
    "tradebot.adapters.ledger.rows",
    "tradebot.adapters.ledger.tables",
    "tradebot.adapters.memory.",
    "tradebot.lab.driver.",
    "papervenue.engine.",
    "papervenue.margined.",
    "papervenue.market.",
    "tradebot.model.",
    "tradebot.signals.",
)

_PLAIN = {
    "builtins": {"frozenset", "set"},
    "collections": {"Counter", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
}

_MAKERS = {
    "builtins": {"dict", "int", "list", "tuple"},
    "msgspec._utils": {"rebuild"},
    "papervenue.engine.account_lists": {"_nothing_kept"},
}

"""Other classes and functions that unpickling needs."""


class Unfinished(NamedTuple):
    """What a checkpoint has besides the state that it restores: the ends of past sessions, and the symbols traded
    then.
    """

    ends: Sequence[SessionEnd]
    symbols: tuple[str, ...]


def dump_checkpoint(backtest_setup: BacktestSetup, driver: Driver, ends: Sequence[SessionEnd], identity: str) -> bytes:
    """Encode a checkpoint; `identity` identifies the run and must match when it is resumed."""
    parts = backtest_setup.parts
    assert parts is not None, "this run can't be saved"
    engine = {
        path: [getattr(attrgetter(path)(parts.root), name) for name in names]
        for path, names in parts.names_by_path.items()
    }
    stores = [vars(store) for store in (backtest_setup.ledger, backtest_setup.facts, backtest_setup.events)]
    state = (identity, engine, stores, driver.state, list(ends), tuple(backtest_setup.world.rules.universe))
    return _HEADER + pickle.dumps(state, pickle.HIGHEST_PROTOCOL)


def unpack(data: bytes, backtest_setup: BacktestSetup, driver: Driver, identity: str) -> Unfinished:
    """Restore a newly assembled bot from a checkpoint.

    Raise OperatorError if the checkpoint can't be read, or belongs to a different run.
    """
    again = "to begin again: the same command with --force instead of --resume"
    if not data.startswith(_HEADER):
        raise OperatorError("the checkpoint was written by another version, or isn't a checkpoint", again)
    try:
        of, engine, stores, state, ends, symbols = _Reader(BytesIO(data[len(_HEADER) :])).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, TypeError, ValueError) as bad:
        raise OperatorError(f"the checkpoint can't be read: {bad}", again) from bad
    if of != identity:
        raise OperatorError("the checkpoint belongs to other settings, another market or another version", again)
    parts = backtest_setup.parts
    assert parts is not None, "a run that can't be saved has no checkpoint"
    _restore_engine(parts, engine)
    for store, saved in zip((backtest_setup.ledger, backtest_setup.facts, backtest_setup.events), stores, strict=True):
        vars(store).update(saved)
    driver.state = state
    parts.after_restoring()
    return Unfinished(list(ends), symbols)


def _restore_engine(parts: RestorableParts, values: dict[str, list[Any]]) -> None:
    engine = parts.root.engine
    accounts = engine.accounts
    for path, names in parts.names_by_path.items():
        for name, value in zip(names, values[path], strict=True):
            setattr(attrgetter(path)(parts.root), name, value)
    # The bot's ports hold references to the accounts that they were created with.
    for number, account in engine.accounts.items():
        for each in fields(account):
            setattr(accounts[number], each.name, getattr(account, each.name))
    engine.accounts = accounts
    engine.market.announce()


class _Reader(pickle.Unpickler):
    """Unpickles only plain values and our own classes, so that a file from elsewhere can't run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that a checkpoint may contain; raise UnpicklingError for any other."""
        is_known = name in _PLAIN.get(module, ()) or name in _MAKERS.get(module, ())
        loaded = super().find_class(module, name) if is_known or module.startswith(_OURS) else None
        if not (is_known or isinstance(loaded, type)):
            raise pickle.UnpicklingError(f"it contains {module}.{name}, which doesn't belong in a checkpoint")
        return loaded


PERSON = "a person"

"""The user who ends halts in a backtest that assumes one."""


class BacktestPlan(Struct, frozen=True):
    """The inputs of a backtest: the bot's settings, the market, and how much is recorded.

    `past_flow` replaces the market's flow. `equity_at` and `margin` differ from their defaults only to reproduce
    certain studies, and `only_due` and `begins` only to train policies.
    """

    settings: Settings
    spec: MarketSpec
    level: RecordLevel = RecordLevel.FULL
    every_pass: bool = False
    equity_at: EquityAt = "market"
    margin: Margin = "reg_t"
    past_flow: PastFlow | None = None
    only_due: bool = False
    begins: date | None = None


class BacktestRun(Struct):
    """A backtest in progress: its market, the bot, the driver, and the account's state at each session's end so far.

    `opening` and `closing` count the differences between the books and the exchange, before the first session and after
    the last one. They are None until the two were compared.
    """

    plan: BacktestPlan
    market: OpenedMarket
    made: BacktestSetup
    driver: Driver
    terms: DriverTerms
    ends: list[SessionEnd] = field(default_factory=list)
    opening: int | None = None
    closing: int | None = None

    @property
    def is_complete(self) -> bool:
        """Return True if every session has run, and the books were compared."""
        return self.closing is not None

    @property
    def is_played(self) -> bool:
        """Return True if all sessions have run, and only the final comparison of books and exchange remains."""
        return len(self.ends) == self.total

    @property
    def total(self) -> int:
        return len(self.made.sessions)

    def take_up(self, unfinished: Unfinished) -> None:
        """Continue after these sessions; the restored bot is at the end of the last one."""
        self.ends, self.opening = [*unfinished.ends], 0
        if unfinished.symbols != tuple(self.made.world.rules.universe):
            state = self.driver.state
            self._trade(unfinished.symbols)
            self.driver.state = state

    def step(self) -> None:
        """Run the next session; before the first and after the last session, also compare the books with the
        exchange.
        """
        if self.opening is None:
            self.opening = len(self.driver.reconcile().findings)
        if self.is_played:
            self.closing = self._count_differences_at_end()
        else:
            self._choose_contracts()
            self._end_halt()
            self.ends.append(self.driver.play(self.made.sessions[len(self.ends)]))

    def _count_differences_at_end(self) -> int:
        """Compare books and exchange; where they differ, once more after what the exchange tells late has come."""
        findings, world = self.driver.reconcile().findings, self.made.world
        if findings and world.venue.tells_ends_after:
            self.made.advance(world.reader.clock().now + 2 * world.venue.tells_ends_after)
            findings = self.driver.reconcile().findings
        return len(findings)

    def _choose_contracts(self) -> None:
        """Choose the contracts that roots stand for in the next session."""
        settings, setup = self.plan.settings, self.made
        months = driver_for(settings.venue).months
        if months is None:
            return
        chosen = choose(setup.world, months, settings.universe, setup.sessions[len(self.ends)].open).symbols
        if chosen != tuple(setup.world.rules.universe):
            count = self.driver.count
            self._trade(chosen)
            self.driver.state = count, None, None, None

    def _trade(self, symbols: tuple[str, ...]) -> None:
        """Trade these symbols from now on."""
        settings, setup = self.plan.settings, self.made
        rules = rules_of(settings, settings.exits, asks=False, discovered=symbols)
        world = replace(setup.world, rules=replace(rules, own_exits=settings.strategies.own_exits()))
        self.made = replace(setup, world=world)
        self.driver = Driver(world, setup.advance, setup.ahead, self.terms)

    def _end_halt(self) -> None:
        """End a halt before the next session once it has lasted long enough, as a person accepting its causes would."""
        lasting, ledger = self.plan.settings.backtest.unhalt_after_sessions, self.made.world.ledger
        halt, played = ledger.trading_state(), len(self.ends)
        if lasting is None or halt.at is None or halt.state is TradingState.ACTIVE:
            return
        if sum(session.close > halt.at for session in self.made.sessions[:played]) >= lasting:
            why, accepted = accept_causes(ledger, halt, "assumed by the backtest")
            opens = self.made.sessions[played].open
            ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, PERSON, why, opens, override=accepted))
            # What was computed ahead is for a halted bot.
            self.driver.state = self.driver.count, None, None, None


def create_run(
    plan: BacktestPlan,
    strategies: Sequence[Strategy],
    market: OpenedMarket | None = None,
    *,
    flow_from: OpenedMarket | None = None,
    looks: Callable[[World, datetime], None] = lambda world, now: None,
) -> BacktestRun:
    """Create a run at the start of its market; open the market unless it is passed in.

    Generated flow predicts the prices of `flow_from`, by default the market's. `looks` is called with the bot each time
    before its strategies run. Raise OperatorError if the market's files can't be used.
    """
    opened = market or open_market_in_memory(plan.spec)
    backtest_setup = assemble(
        plan.settings,
        plan.spec,
        strategies,
        MemoryFacts(plan.level),
        market=opened,
        with_flow=any(strategy.needs.facts for strategy in strategies),
        flow_from=plan.past_flow or flow_from,
        equity_at=plan.equity_at,
        margin=plan.margin,
    )

    def before_asking() -> None:
        backtest_setup.before_asking()
        looks(run.made.world, backtest_setup.now())
        if not backtest_setup.served:
            ask_for_sessions(run.made.world, plan.settings.timetable[Job.TRADE_ONCE], backtest_setup.now())

    def after_entries(cycle: CycleRecord) -> None:
        for strategy in session_plugins(strategies):
            strategy.prove_orders(cycle)

    terms = DriverTerms(
        plan.settings.timetable,
        every_pass=plan.every_pass,
        only_due=plan.only_due,
        first_session=plan.begins,
        before_asking=before_asking,
        after_entries=after_entries,
    )
    run = BacktestRun(
        plan,
        opened,
        backtest_setup,
        Driver(backtest_setup.world, backtest_setup.advance, backtest_setup.ahead, terms),
        terms,
    )
    return run


def bars_in(market: OpenedMarket, index: int) -> int:
    """Return how many bars, minute or daily, all symbols have in one of a market's sessions."""
    session, symbols = market.calendar.market[index], market.symbols
    if market.spec.source == "generated":
        return len(symbols) * (session.close_us - session.open_us) // MINUTE
    if (days := market.days) is not None:
        return days.count(index)
    return sum(len(market.source.bars(symbol, index)) for symbol in symbols)
