"""Orders under our mark that these books never promised: another copy of the bot writes on this account."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from tradebot.errors import TradebotError
from tradebot.gates.halts import override_of
from tradebot.model.intent import ID_PREFIX
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.ports import BrokerReader, Ledger

ASKED_FOR = timedelta(days=1)
"""For so long after a fill that is not ours its order is asked for: who sent it stands nowhere else."""

ASKED_SINGLY = 5
"""More orders than so many are read from a list first."""


def behind(reader: BrokerReader, ledger: Ledger, fills: Sequence[OwnedFill], now: datetime) -> Iterator[Order]:
    """Yield the orders behind others' fills of late that the books do not know yet.

    The venue's silence on one is no end of the pass: it is asked again at the next look.
    """
    known = {"", *(order.venue_id for order in ledger.orders())}
    recent = (owned.fill for owned in fills if owned.strategy == FOREIGN and owned.fill.at > now - ASKED_FOR)
    asked = {fill.venue_order_id: fill.at for fill in recent if fill.venue_order_id not in known}
    listed: dict[str, Order] = {}
    if len(asked) > ASKED_SINGLY:
        listed = {order.venue_id: order for order in reader.ended(min(asked.values()) - ASKED_FOR)}
    for venue_id in asked:
        order = listed.get(venue_id) or _asked(reader, venue_id)
        if order is not None:
            yield order


def _asked(reader: BrokerReader, venue_id: str) -> Order | None:
    try:
        return reader.follower(venue_id)
    except TradebotError:
        return None


def strangers(ledger: Ledger, today: date) -> tuple[Order, ...]:
    """Return the strangers' orders that filled today, but for those that a person has accepted by ending a halt."""
    state = ledger.trading_state()
    accepted = override_of(state.why) if state.state is TradingState.ACTIVE else None
    until = accepted.at if accepted and Reason.SECOND_WRITER in accepted.reasons else None
    marked = (o for o in ledger.orders() if o.client_order_id.startswith(ID_PREFIX) and o.filled_quantity)
    return tuple(o for o in marked if _counts(o, today, until) and ledger.intent(o.client_order_id) is None)


def _counts(order: Order, today: date, accepted_until: datetime | None) -> bool:
    sent, told = order.submitted_at or order.updated_at, order.updated_at or order.submitted_at
    accepted = sent is not None and accepted_until is not None and sent <= accepted_until
    return told is not None and told.date() >= today and not accepted
