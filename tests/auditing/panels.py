"""Made-up candidates and what followed them, with an edge or without one."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType

from tradebot.auditing.forward_returns import HORIZONS, Entry, Returns, SessionReturns
from tradebot.auditing.outcomes import StrategyOutcomes, Tally
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.record import Judged

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
SYMBOLS = ("AAPL", "AMZN", "MSFT", "NVDA", "TSLA")
LONGEST = 11
DAILY = 0.02
"""The standard deviation of a symbol's return in a session."""


class Told(SessionReturns):
    """Returns that a test makes up, by symbol and by the minute after AT in which a candidate is entered."""

    def __init__(self, returns: dict[tuple[str, int], Returns]) -> None:
        self._told = returns

    def entry(self, symbol: str, at: datetime) -> Entry | None:
        minute = int((at - AT).total_seconds()) // 60
        found = self._told.get((symbol, minute))
        return None if found is None else Entry(minute, found)


def judged(
    symbol: str = "AAPL",
    score: float | None = 0.5,
    gate: Gate | None = None,
    *,
    minute: int = 0,
    at: datetime = AT,
    was_gated: bool = True,
    parts: Mapping[str, float | None] = MappingProxyType({}),
) -> Judged:
    side = Side.SELL if score is not None and score < 0 else Side.BUY
    return Judged(at + timedelta(minutes=minute), "flow", symbol, side, score, tuple(parts.items()), gate, was_gated)


def returns(*values: float | None) -> Returns:
    return (*values, *[None] * (len(HORIZONS) - len(values)))


def outcomes(*days: tuple[dict[tuple[str, int], Returns], list[Judged]]) -> StrategyOutcomes:
    tally = Tally()
    for told, each in days:
        tally.add(Told(told), each)
    (found,) = tally.outcomes()
    return found


def panel(seed: int, sessions: int, edge: float) -> StrategyOutcomes:
    """Measure random candidates with scores that last for days, in a market whose symbols move together.

    Three components are noise. With an edge, an hour's return leans toward the score by that many standard deviations.
    """
    return outcomes(*days(Random(seed), sessions, edge))  # noqa: S311 -- replayable on purpose


def days(chance: Random, sessions: int, edge: float) -> Iterator[tuple[dict[tuple[str, int], Returns], list[Judged]]]:
    market = [chance.gauss(0, 0.01) for _ in range(sessions + LONGEST)]
    moves = {s: [beta + chance.gauss(0, DAILY) for beta in market] for s in SYMBOLS}
    views = {symbol: [chance.uniform(-1, 1) for _ in range(4)] for symbol in SYMBOLS}
    for session in range(sessions):
        told, each = dict[tuple[str, int], Returns](), list[Judged]()
        for symbol in SYMBOLS:
            views[symbol] = [0.9 * view + 0.3 * chance.uniform(-1, 1) for view in views[symbol]]
            score, *noise = views[symbol]
            for minute in (0, 60):
                hour = 0.004 * (chance.gauss(0, 1) + edge * (1 if score > 0 else -1))
                later = [sum(moves[symbol][session : session + reach]) + hour for reach in (1, 2, 4, 6, 11)]
                told[symbol, minute] = (hour, *later)
                gate = chance.choice((None, Gate.SPREAD, Gate.COOLDOWN))
                parts: dict[str, float | None] = dict(zip(("flow", "tide", "skew"), noise, strict=True))
                each.append(judged(symbol, score, gate, minute=minute, parts=parts))
        yield told, each
