"""Until when another pass of entries would send nothing either, after one that sent nothing.

A slot whose targets aren't reached is asked about in each pass until it ends. While nothing that its candidates depend
on has changed, the strategy would answer the same, and the same gates would refuse it.
"""

from collections.abc import Sequence
from datetime import datetime

from tradebot.backtest.touching import Ahead
from tradebot.desk.proposals import Proposals
from tradebot.desk.views import sees_its_slot
from tradebot.model.bar import StrategySlot
from tradebot.model.decision import Gate, Verdict
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.ports.world import World

WITHOUT_TIME = frozenset(
    {
        Gate.TRADING_STATE,
        Gate.TARGET,
        Gate.SIZE,
        Gate.OPEN_POSITIONS,
        Gate.OWN_OPEN_POSITIONS,
        Gate.ORDER_NOTIONAL,
        Gate.SYMBOL_NOTIONAL,
        Gate.SECTOR_NOTIONAL,
        Gate.GROSS_NOTIONAL,
        Gate.OWN_SYMBOL_NOTIONAL,
        Gate.OWN_SECTOR_NOTIONAL,
        Gate.OWN_GROSS_NOTIONAL,
        Gate.BUYING_POWER,
    }
)
"""Gates that fail again at a later time of the same session, unless a price, the account or the books have changed."""


def refused_until(
    world: World, ahead: Ahead, proposed: Proposals, cycle: CycleRecord, close: datetime
) -> datetime | None:
    """Return until when these candidates would be refused again; None if the next pass may send one.

    The pass must have left account and orders as they were. Later sessions are left to their own passes.
    """
    slots = _slots(world, proposed)
    if not slots or not all(map(_is_refused_at_any_time, cycle.candidates)):
        return None
    waiting = (one.next.start for one in proposed.own.waiting if one.next)
    return min((close, ahead.next_price(cycle.at), *(slot.end for slot in slots), *waiting))


def _slots(world: World, proposed: Proposals) -> Sequence[StrategySlot]:
    """Return the slots that were asked about; none if some strategy was asked for what changes with time."""
    waiting, asked = {one.strategy: one.next for one in proposed.own.waiting}, proposed.own.asked
    answered = {slot.strategy for slot in asked}
    for strategy in world.strategies:
        known = sees_its_slot(strategy.needs) if strategy.name in answered else waiting.get(strategy.name) is not None
        if not known:
            return ()
    return asked


def _is_refused_at_any_time(record: CandidateRecord) -> bool:
    terminal = record.terminal
    return terminal is not None and terminal.verdict is Verdict.FAIL and terminal.gate in WITHOUT_TIME
