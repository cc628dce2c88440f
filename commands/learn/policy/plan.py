"""What a learned policy is trained and judged on: one root's market, the policy alone, and its slots."""

from collections.abc import Mapping
from typing import Any

from commands.backtest.options import PlannedBacktest, plan_backtest, settings_of
from commands.backtest.run_options import BacktestOptions
from commands.shared.light_helpers import clean, note
from tradebot.app.venues import door_to
from tradebot.errors import OperatorError, word
from tradebot.lab.learning.environment import TIMETABLE
from tradebot.model.values import replace

FILL, SPREAD = "next-open", "spread_bps"
"""How orders fill unless an option says otherwise: at the next minute's open, a tick worse."""


def planned_for(
    wish: BacktestOptions, symbol: str | None, strategy: str, section: Mapping[str, Any]
) -> PlannedBacktest:
    """Return what the options ask for, with this strategy alone in one root, and its market opened.

    What a configuration sets for the strategy is kept where `section` doesn't say otherwise. What a file of bars lacks
    is noted for the person, as a backtest does.
    OperatorError if the venue has no contracts that expire, or it isn't clear which root is meant.
    """
    costs = wish.costs if any(one.startswith(SPREAD) for one in wish.costs) else (*wish.costs, f"{SPREAD}=0")
    wish = replace(wish, fill=wish.fill or FILL, costs=costs)
    known = settings_of(wish)
    if not door_to(known.venue).months:
        raise OperatorError(
            f"policies learn futures, and {known.venue} has none", "add --profile policy, or --venue ibkr"
        )
    root = _root(known.universe, symbol)
    off = {name: None for name in known.strategies.in_use() if name != strategy}
    over = {
        "universe": [root],
        "strategies": {**off, strategy: dict(section)},
        "timetable": {str(job): times for job, times in TIMETABLE.items()},
    }
    made = plan_backtest(replace(wish, over=over))
    for what, bars in (("rows left out", made.market.unused), ("bars missing", made.market.lacking)):
        if bars:
            note(f"{what}: {clean(bars)}")
    return made


def _root(universe: "list[str]", symbol: str | None) -> str:
    if symbol is not None:
        if symbol not in universe:
            raise OperatorError(f"{word(symbol)} isn't in the universe", f"name one of these: {', '.join(universe)}")
        return symbol
    if len(universe) == 1:
        return universe[0]
    raise OperatorError(
        f"a policy learns one contract, and the universe has {len(universe)}", f"name one: --symbol {universe[0]}"
    )
