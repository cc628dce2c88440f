"""Evaluate a policy: run the bot's real event-driven passes over sessions, and return each session's result after
costs.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from tradebot.errors import OperatorError
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.backtest.setup import loaded_strategies
from tradebot.lab.learning.environment import TIMES
from tradebot.model.reasons import POLICY_REASONS
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, StrategyView, Target, Want
from tradebot.venues.ibkr.contracts import root_of
from tradebot.views.trades.lots import trades

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradebot.lab.learning.training.training_rows import SessionRange
    from tradebot.model.decision import Decision
    from tradebot.ports.strategy import Strategy


class JudgedSessions(Struct, frozen=True):
    """The return of each evaluated session, as a fraction of its initial equity, and the closed trades.

    `doubled` has the returns with doubled commissions and slippage.
    """

    sessions: tuple[date, ...]
    returns: tuple[float, ...]
    doubled: tuple[float, ...]
    trades: int


class Signed(NamedTuple):
    """The folder of models, as an absolute path, and the signer's public key."""

    folder: Path
    public: str


class Hold:
    """The benchmark that holds one contract."""

    times = TIMES
    needs = Needs()

    def __init__(self, name: str) -> None:
        self.name = name

    def propose(self, view: StrategyView) -> Sequence[Target]:
        return [Target(symbol, quantity=Decimal(1)) for symbol in view.universe]


class NamedStrategy:
    """A strategy under another `name` that runs at a policy's times; with `later`, it acts one slot after each
    decision.

    Everything else about it is unchanged.
    """

    times = TIMES

    def __init__(self, strategy: Strategy, name: str, *, later: bool = False) -> None:
        self.name, self._strategy, self._later = name, strategy, later
        self._slot: tuple[str, date | None] | None = None
        self._before: Sequence[Want] | Decision = ()
        self._now: Sequence[Want] | Decision = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the strategy's current wants, or the wants of its previous slot if it acts `later`."""
        if not self._later:
            return self._strategy.propose(view)
        session = view.situation.session if view.situation else None
        slot = view.slot, session.date if session else None
        if slot != self._slot:
            self._slot, self._before, self._now = slot, self._now, self._strategy.propose(view)
        return self._before


def evaluate_market(
    plan: BacktestPlan, strategy: Strategy, within: SessionRange, *, later: bool = False
) -> JudgedSessions:
    """Run a market to the end of the period in which a strategy acts, and return the result of each of its sessions.

    Raise OperatorError if none of the market's sessions is in the period.
    """
    name = next(iter(plan.settings.strategies.in_use()))
    run = create_run(replace(plan, only_due=True, begins=within.first), [NamedStrategy(strategy, name, later=later)])
    try:
        sessions, last = run.made.sessions, within.last
        while not run.is_complete and not (
            last is not None and len(run.ends) < len(sessions) and sessions[len(run.ends)].date > last
        ):
            run.step()
        return _judge_sessions(run, within)
    finally:
        run.made.close()


def judged_model(
    plan: BacktestPlan, name: str, signed: Signed, model: str, within: SessionRange, *, later: bool = False
) -> JudgedSessions:
    """Evaluate a signed model like `evaluate_market`, under its strategy's name and without a fallback."""
    chosen = plan.settings.strategies
    changes: dict[str, object] = {
        "mode": "inference",
        "folder": str(signed.folder),
        "public_key": signed.public,
        "models": [model],
    }
    changes |= {"rule": None, "results": None}
    section = chosen.sections()[name].model_copy(update=changes)
    settings = plan.settings.model_copy(update={"strategies": chosen.model_copy(update={name: section})})
    with loaded_strategies(settings, signed.folder, {}) as strategies:
        return evaluate_market(replace(plan, settings=settings), strategies[0], within, later=later)


def _judge_sessions(run: BacktestRun, within: SessionRange) -> JudgedSessions:
    days = [end.session for end in run.ends]
    places = [index for index, day in enumerate(days) if within.first is None or day >= within.first]
    if not places:
        raise OperatorError(
            f"no session of the market is between {within.first} and {within.last}", ("evaluate other sessions")
        )
    _require_answers(run)
    equities = [run.made.ledger.opening_cash(), *(_known_equity(end.equity) for end in run.ends)]
    costs = _costs(run)
    returns, doubled = list[float](), list[float]()
    for index in places:
        before, after = equities[index], equities[index + 1]
        returns.append(float((after - before) / before))
        doubled.append(float((after - before - costs[index]) / before))
    closed = trades(run.made.ledger.fills())
    count = sum(trade.closed_at is not None for trade in closed)
    return JudgedSessions(tuple(days[index] for index in places), tuple(returns), tuple(doubled), count)


def _require_answers(run: BacktestRun) -> None:
    """Raise OperatorError if a model failed in a pass, because its earnings are then unknown."""
    for cycle in run.made.facts.cycles(job=Job.TRADE_ONCE):
        for strategy in cycle.refused_strategies:
            reason = strategy.decision.reason
            if reason in POLICY_REASONS:
                raise OperatorError(
                    f"the model didn't answer at {cycle.at:%Y-%m-%d %H:%M}: {reason} {strategy.decision.observed}",
                    "the result needs that answer: look up the reason in docs/POLICIES.md, then run it again",
                )


def _known_equity(equity: Decimal | None) -> Decimal:
    assert equity is not None, "a backtest has the equity at each close"
    return equity


def _costs(run: BacktestRun) -> list[Decimal]:
    """Return each session's cost: the commissions, and a tick of slippage for each traded contract."""
    closes = [session.close for session in run.made.sessions]
    costs = [Decimal(0)] * len(closes)

    def session_index(at: Any) -> int:
        return min(bisect_right(closes, at), len(closes) - 1)

    for fill in run.made.ledger.fills():
        root = root_of(fill.fill.symbol)
        costs[session_index(fill.fill.at)] += root.tick * root.multiplier * fill.fill.quantity
    for movement in run.made.ledger.cash_movements():
        costs[session_index(movement.at)] -= movement.amount_usd
    return costs
