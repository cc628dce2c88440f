"""Play a backtest from its plan to its end, session by session, so that it can be watched and stopped in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import Level
from tradebot.app.backtest.assembly import assemble
from tradebot.app.backtest.market import open_market_in_memory
from tradebot.backtest.driver import Driver, Terms

if TYPE_CHECKING:
    from tradebot.app.backtest.assembly import Assembled, Margin
    from tradebot.app.backtest.market import OpenedMarket
    from tradebot.app.backtest.venue import EquityAt
    from tradebot.app.settings import Settings
    from tradebot.exchange.market.spec import MarketSpec
    from tradebot.model.record import SessionEnd
    from tradebot.ports.strategy import Strategy

Watch = Callable[[int, int], bool]
"""Is told how many sessions are done and how many there are, and returns True if that is enough for now."""


@dataclass(frozen=True)
class Plan:
    """What is played: the bot's settings, the market, and how much is recorded.

    `equity_at` and `margin` differ from their defaults only in studies that are to be reproduced.
    """

    settings: Settings
    spec: MarketSpec
    level: Level = Level.FULL
    every_pass: bool = False
    equity_at: EquityAt = "market"
    margin: Margin = "reg_t"


@dataclass
class Run:
    """A backtest while it is played: the bot, what plays it, and how the account stood at the end of each session.

    `opening` and `closing` are how many differences the books had from the exchange before the first session and after
    the last one; None until they were compared.
    """

    plan: Plan
    made: Assembled
    driver: Driver
    ends: list[SessionEnd] = field(default_factory=list)
    opening: int | None = None
    closing: int | None = None

    @property
    def is_complete(self) -> bool:
        """Return True if every session was played."""
        return self.closing is not None

    def play(self, watch: Watch = lambda done, total: False) -> None:
        """Play on until the end, or until `watch` says that it is enough; `watch` is asked after each session."""
        if self.opening is None:
            self.opening = len(self.driver.begin().findings)
        sessions = self.made.sessions
        for end in self.driver.play(sessions[len(self.ends) :]):
            self.ends.append(end)
            if watch(len(self.ends), len(sessions)) and len(self.ends) < len(sessions):
                return
        self.closing = len(self.driver.end().findings)


def begin(plan: Plan, strategies: Sequence[Strategy], market: OpenedMarket | None = None) -> Run:
    """Return a run at the beginning of its market, which is opened unless it is given.

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
        equity_at=plan.equity_at,
        margin=plan.margin,
    )
    terms = Terms(plan.settings.timetable, every_pass=plan.every_pass, before_asking=made.before_asking)
    return Run(plan, made, Driver(made.world, made.advance, made.ahead, terms))
