"""Which tighter values of a strategy's limits closed trades can tell about. A looser value is never tried.

Each value is played over the entries that were made, in their order: what it refuses takes no room from those that
follow.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from heapq import heappop, heappush
from typing import NamedTuple

from tradebot.lab.learn.altered import Knob
from tradebot.lab.learn.knobs import without
from tradebot.lab.learn.values import Item, Outcome, plain
from tradebot.model.limits import Limits, Tighter
from tradebot.views.trades.trade_row import TradeRow

LONGER = (2, 4)
"""How many times as long a cooldown is tried."""
LONGEST_S = 86_400
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""The shares of trades, those with the lowest score, that are tried without."""
MOST_TRIED = 6
PLACES = Decimal("0.001")
Value = Decimal | int


class Entered(NamedTuple):
    """A position that a strategy opened in a session, whether or not it is closed by now."""

    trade: TradeRow
    session: date


Admits = Callable[[Entered], bool]
"""Whether a limit lets an entry through, after those that it let through before."""


def limits(strategy: str, in_force: Limits, entered: Sequence[Entered], outcomes: Sequence[Outcome]) -> Iterator[Knob]:
    """Yield limits of a strategy with tighter values; open positions count for what there was room for."""
    made = sorted(entered, key=lambda one: (one.trade.opened_at, one.trade.id))
    for name, tried in _tighter(in_force, made, outcomes).items():
        value = getattr(in_force, name)
        assert all(is_tighter(name, value, each) for each in tried), "a limit only gets tighter"
        refused = ((each, _refused(made, _RULES[name](each))) for each in tried)
        others = [without(plain(each), outcomes, [one.trade.id in out for one in outcomes]) for each, out in refused]
        yield Knob(Item.LIMITS, strategy, f"strategies.{strategy}.limits.{name}", plain(value), outcomes, others)


def is_tighter(name: str, value: Decimal | float, other: Decimal | float) -> bool:
    """Return True if another value of a limit allows less."""
    higher = Tighter.HIGHER in Limits.model_fields[name].metadata
    return other > value if higher else other < value


def _tighter(in_force: Limits, made: Sequence[Entered], outcomes: Sequence[Outcome]) -> Mapping[str, Sequence[Value]]:
    """Return the values of each limit that are tried."""
    waits = [in_force.cooldown_s * times for times in LONGER]
    return {
        "min_score": [score for score in _scores(outcomes) if in_force.min_score < score <= 1],
        "max_open_positions": _below(in_force.max_open_positions, _most_open(made)),
        "max_session_entries": _below(in_force.max_session_entries, _most(made, _session_of)),
        "max_symbol_entries": _below(in_force.max_symbol_entries, _most(made, _symbol_of)),
        "cooldown_s": [wait for wait in waits if wait <= LONGEST_S],
    }


def _scores(outcomes: Sequence[Outcome]) -> Sequence[Decimal]:
    """Return scores below which there are some shares of the trades."""
    ranked = sorted(abs(one.trade.entry_score) for one in outcomes if one.trade.entry_score is not None)
    places = dict.fromkeys(int(len(ranked) * share) for share in SHARES if ranked)
    return [*dict.fromkeys(Decimal(str(ranked[place])).quantize(PLACES, ROUND_CEILING) for place in places)]


def _below(limit: int, most: int) -> Sequence[int]:
    """Return whole numbers below a limit and below what was reached, the largest first, not too many of them."""
    top = min(limit, most) - 1
    return range(top, 0, -max(-(-top // MOST_TRIED), 1))


def _session_of(one: Entered) -> object:
    return one.session


def _symbol_of(one: Entered) -> object:
    return one.session, one.trade.symbol, one.trade.side


def _most(made: Sequence[Entered], key: Callable[[Entered], object]) -> int:
    return max(Counter(map(key, made)).values(), default=0)


def _most_open(made: Sequence[Entered]) -> int:
    """Return how many positions were open at once."""
    opens = [(one.trade.opened_at, 1) for one in made]
    closes = [(one.trade.closed_at, -1) for one in made if one.trade.closed_at]
    most = now = 0
    for _, change in sorted([*opens, *closes]):
        now += change
        most = max(most, now)
    return most


def _refused(made: Sequence[Entered], admits: Admits) -> frozenset[str]:
    """Return the ids of the trades that a limit would have refused."""
    return frozenset([one.trade.id for one in made if not admits(one)])


def _by_score(least: Value) -> Admits:
    # The gate compares floats, and so does this.
    return lambda one: one.trade.entry_score is None or abs(one.trade.entry_score) >= float(least)


def _by_open(most: Value) -> Admits:
    ends = list[datetime]()

    def admits(one: Entered) -> bool:
        while ends and ends[0] <= one.trade.opened_at:
            heappop(ends)
        if len(ends) >= most:
            return False
        heappush(ends, one.trade.closed_at or datetime.max.replace(tzinfo=one.trade.opened_at.tzinfo))
        return True

    return admits


def _by_count(key: Callable[[Entered], object]) -> Callable[[Value], Admits]:
    def of(most: Value) -> Admits:
        seen = Counter[object]()

        def admits(one: Entered) -> bool:
            if seen[key(one)] >= most:
                return False
            seen[key(one)] += 1
            return True

        return admits

    return of


def _by_wait(wait_s: Value) -> Admits:
    wait, filled = timedelta(seconds=int(wait_s)), dict[str, datetime]()

    def admits(one: Entered) -> bool:
        last = filled.get(one.trade.symbol)
        if last is not None and one.trade.opened_at < last + wait:
            return False
        filled[one.trade.symbol] = one.trade.closed_at or one.trade.opened_at
        return True

    return admits


_RULES: Mapping[str, Callable[[Value], Admits]] = {
    "min_score": _by_score,
    "max_open_positions": _by_open,
    "max_session_entries": _by_count(_session_of),
    "max_symbol_entries": _by_count(_symbol_of),
    "cooldown_s": _by_wait,
}
