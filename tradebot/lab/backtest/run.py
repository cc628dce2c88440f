"""Play a backtest from its plan to its end, session by session, so that it can be watched and stopped in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from papervenue.times import MINUTE
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.rules import rules_of
from tradebot.app.venues import door_to
from tradebot.desk.auto_halt import accept_causes
from tradebot.desk.contract_rolls import choose
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.setup import assemble
from tradebot.lab.driver.driver import Driver, DriverTerms
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from papervenue.market.spec import MarketSpec
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.historical_flow import PastFlow
    from tradebot.lab.backtest.market import OpenedMarket
    from tradebot.lab.backtest.setup import BacktestSetup, Margin
    from tradebot.lab.backtest.venue import EquityAt
    from tradebot.model.record import SessionEnd
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import World

PERSON = "a person"
"""Who ends halts in a backtest that assumes somebody does."""


class BacktestPlan(Struct, frozen=True):
    """What is played: the bot's settings, the market, and how much is recorded.

    `past_flow` is what is known of flow instead of what the market has. `equity_at` and `margin` differ from their
    defaults only in studies that are to be reproduced, and `only_due` and `begins` where policies learn.
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
    """A backtest while it is played: its market, the bot, what plays it, and each session's end so far.

    `opening` and `closing` are how many differences the books had from the exchange before the first session and after
    the last one; None until they were compared.
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
        """Return True if every session was played, and the books were compared."""
        return self.closing is not None

    @property
    def is_played(self) -> bool:
        """Return True if no session is left, which is when books and exchange have still to be compared."""
        return len(self.ends) == self.total

    @property
    def total(self) -> int:
        return len(self.made.sessions)

    def take_up(self, ends: Sequence[SessionEnd]) -> None:
        """Go on after these sessions, to whose end the bot was brought already."""
        self.ends, self.opening = [*ends], 0

    def step(self) -> None:
        """Play the next session, or after the last one, compare books and exchange, as before the first one."""
        if self.opening is None:
            self.opening = len(self.driver.reconcile().findings)
        if self.is_played:
            self.closing = len(self.driver.reconcile().findings)
        else:
            self._choose_contracts()
            self._end_halt()
            self.ends.append(self.driver.play(self.made.sessions[len(self.ends)]))

    def _choose_contracts(self) -> None:
        """Play the next session with the contracts that roots stand for in it."""
        settings, made = self.plan.settings, self.made
        months = door_to(settings.venue).months
        if months is None:
            return
        chosen = choose(made.world, months, settings.universe, made.sessions[len(self.ends)].open).symbols
        if chosen == tuple(made.world.rules.universe):
            return
        rules = rules_of(settings, settings.exits, asks=False, discovered=chosen)
        world = replace(made.world, rules=replace(rules, own_exits=settings.strategies.own_exits()))
        self.made = replace(made, world=world)
        count, self.driver = self.driver.count, Driver(world, made.advance, made.ahead, self.terms)
        self.driver.state = count, None, None, None

    def _end_halt(self) -> None:
        """End a halt before the next session, as a person who accepts its causes, once it has lasted long enough."""
        lasting, ledger = self.plan.settings.backtest.unhalt_after_sessions, self.made.world.ledger
        halt, played = ledger.trading_state(), len(self.ends)
        if lasting is None or halt.at is None or halt.state is TradingState.ACTIVE:
            return
        if sum(session.close > halt.at for session in self.made.sessions[:played]) >= lasting:
            why, accepted = accept_causes(ledger, halt, "assumed by the backtest")
            opens = self.made.sessions[played].open
            ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, PERSON, why, opens, override=accepted))
            # What it knows of the time ahead is that of a halted bot.
            self.driver.state = self.driver.count, None, None, None


def begin(
    plan: BacktestPlan,
    strategies: Sequence[Strategy],
    market: OpenedMarket | None = None,
    *,
    flow_from: OpenedMarket | None = None,
    looks: Callable[[World, datetime], None] = lambda world, now: None,
) -> BacktestRun:
    """Return a run at the beginning of its market, which is opened unless it is given.

    Generated flow predicts the prices of `flow_from`, or else those of the market. `looks` is shown the bot before its
    strategies are asked.
    Raises OperatorError if the market's files can't be used.
    """
    opened = market or open_market_in_memory(plan.spec)
    made = assemble(
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
        made.before_asking()
        looks(run.made.world, made.now())

    terms = DriverTerms(
        plan.settings.timetable,
        every_pass=plan.every_pass,
        only_due=plan.only_due,
        begins=plan.begins,
        before_asking=before_asking,
    )
    run = BacktestRun(plan, opened, made, Driver(made.world, made.advance, made.ahead, terms), terms)
    return run


def bars_in(market: OpenedMarket, place: int) -> int:
    """Return how many bars all symbols have in one of a market's sessions: minute bars, or daily ones."""
    session, symbols = market.calendar.market[place], market.symbols
    if market.spec.source == "generated":
        return len(symbols) * (session.close_us - session.open_us) // MINUTE
    if (days := market.days) is not None:
        return days.count(place)
    return sum(len(market.source.bars(symbol, place)) for symbol in symbols)
