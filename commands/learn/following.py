"""What followed, by the bars of each session: after blocked trades, and after shorter times than trades were held."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from commands.report.reading import problem_of
from commands.score.outcomes import judged_days
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.thresholds import Question, threshold_of
from tradebot.app.wiring import App
from tradebot.errors import TradebotError
from tradebot.gates.reads import READS
from tradebot.lab.learn.blocked import Blocked
from tradebot.lab.learn.knobs import LeftAfter, shorter
from tradebot.lab.learn.learn import Material
from tradebot.lab.learn.values import Outcome, Proposal, plain
from tradebot.model.decision import Gate
from tradebot.model.instrument import notional
from tradebot.views.trades.trade_row import LONG, Choice

if TYPE_CHECKING:
    from tradebot.app.sections import Sections
    from tradebot.app.thresholds import Setting
    from tradebot.auditing.forward_returns import SessionReturns
    from tradebot.ports.world import Progress

MINUTE = timedelta(minutes=1)
UNKNOWN = "What blocked trades would have earned isn't known"


class Followed(NamedTuple):
    """What blocked trades would have earned, and what was left at shorter times; None if that isn't known, and why."""

    blocked: tuple[Proposal, ...] = ()
    left: LeftAfter | None = None
    problem: str = ""


def followed(app: "App", material: Material, choice: Choice, at: datetime | None, progress: "Progress") -> Followed:
    """Return what followed until a moment, by bars that are fetched if they aren't stored."""
    if at is None:
        return Followed()
    if app.folder.kind == BACKTEST:
        return Followed(problem=f"{UNKNOWN}: a backtest keeps no bars after it has ended.")
    blocked, left = Blocked(), Left(material)
    try:
        for day, judged in judged_days(app, choice.days.first, progress, choice.days.last, at):
            blocked.add(day, [one for one in judged if choice.strategy in (None, one.strategy)])
            left.add(day)
    except TradebotError as error:
        return Followed(problem=f"{UNKNOWN}: {problem_of(app, error)}.")
    if not blocked.keys:
        return Followed(left=left if left.known else None, problem="No blocked trade that is over is recorded.")
    found = {key: setting for key in blocked.keys if (setting := setting_of(app.settings, *key))}
    values = {key: plain(one.value) for key, one in found.items()}
    proposals = blocked.proposals({key: one.key for key, one in found.items()}, values)
    return Followed(tuple(proposals), left if left.known else None)


class Left:
    """Knows what trades would have ended with at shorter times, from the bars of the sessions that are added."""

    def __init__(self, material: Material) -> None:
        self._outcomes = material.outcomes
        self._tried = {
            name: shorter(watched.held.after_s)
            for watched in material.watched
            if watched.held
            for name in watched.strategies
        }
        self._better: dict[tuple[str, int], float] = {}

    @property
    def known(self) -> bool:
        return bool(self._better)

    def add(self, day: "SessionReturns") -> None:
        for one in self._outcomes:
            if one.session == day.session.date:
                for after_s in self._tried.get(one.trade.strategy, ()):
                    self._add(day, one, after_s)

    def _add(self, day: "SessionReturns", one: Outcome, after_s: int) -> None:
        trade, at = one.trade, one.trade.opened_at + timedelta(seconds=after_s)
        if at >= one.closed_at:
            return
        # Both are prices of bars: what the exit itself cost would have been paid at the other time too.
        prices = day.price(trade.symbol, at), day.price(trade.symbol, min(one.closed_at + MINUTE, day.session.close))
        if prices[0] is not None and prices[1] is not None:
            better = (prices[0] - prices[1]) * (1 if trade.side == LONG else -1)
            self._better[trade.id, after_s] = notional(float(trade.quantity), better, float(trade.multiplier))

    def __call__(self, one: Outcome, after_s: int) -> float | None:
        return self._better.get((one.trade.id, after_s))


def setting_of(settings: "Sections", strategy: str, gate: Gate) -> "Setting | None":
    """Return the setting that a gate compares a strategy's candidates with, if its limit in force is one."""
    reads, is_there = READS[gate], strategy in settings.strategies.sections()
    names = (*reads.own, *reads.account)
    limits = settings.limits_of(strategy) if reads.own and is_there else settings.limits
    limit = getattr(limits, names[0]) if len(names) == 1 else None
    return threshold_of(settings, strategy, Question(gate), limit)
