"""How the account and the session stand, for strategies that need to know."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose
from tradebot.model.position import Position
from tradebot.model.view import Situation
from tradebot.ports.stores import Ledger
from tradebot.ports.world import World
from tradebot.timetable.sessions import session_of


def situation_of(
    world: World, now: datetime, view: BrokerView, positions: Sequence[Position], strategy: str
) -> Situation:
    """Return how things stand for a strategy, by what the venue tells and what the books say."""
    session, peak = session_of(world.ledger, now, world.venue.day), world.ledger.equity_peak()
    equity = view.account.equity
    if session is not None and not session.contains(now):
        session = None
    return Situation(
        session,
        equity,
        max(equity, peak.highest if peak else equity),
        dict(_unrealized(view, (one for one in positions if one.strategy == strategy))),
        trades_of(world.ledger, session.date, session.open, strategy) if session else 0,
    )


def _unrealized(view: BrokerView, positions: Iterator[Position]) -> Iterator[tuple[str, Decimal]]:
    prices = {one.symbol: one.current_price for one in view.positions}
    for position in positions:
        price = prices.get(position.symbol)
        if price is not None:
            yield position.symbol, position.value_at(price) - position.cost


def trades_of(ledger: Ledger, session: date, opened_at: datetime, strategy: str) -> int:
    """Return how many orders of a strategy opened or added something in a session, each with a fill.

    An order that was replaced by another one counts once.
    """
    entries = {
        intent.client_order_id: (intent.key.slot, *intent.whose, intent.side)
        for record in ledger.intents(session=session)
        if (intent := record.intent).key.strategy == strategy and intent.purpose is Purpose.OPEN and intent.makes_order
    }
    if not entries:
        return 0
    filled = (one.client_order_id for one in ledger.orders(since=opened_at) if one.filled_quantity)
    return len({entries[name] for name in filled if name in entries})
