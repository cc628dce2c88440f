"""What Alpaca's sessions prove: when an order can't fill any more, and when a request can't arrive any more."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from tradebot.model.bar import Session
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order, TimeInForce
from tradebot.model.venue import End, Proof

ARRIVES_WITHIN = timedelta(hours=4)
"""How long after a close something may still be on its way: a request that hangs, or the report of an order's end.

Requests end within seconds and reports come within minutes. Waiting longer costs nothing: nothing trades by then.
"""


def end_of(order: Callable[[str], Order | None], intent: Intent, sessions: Iterable[Session], now: datetime) -> Proof:
    """Return what is proven about a request, given what looks up an `order` by its id."""
    found = None if intent.operation is Operation.CANCEL else order(intent.client_order_id)
    return _never_arrived(intent.at, sessions, now) if found is None else Proof.of(found)


def _never_arrived(sent_at: datetime, sessions: Iterable[Session], now: datetime) -> Proof:
    """Return what is proven about a request that Alpaca doesn't know by its id, which is unique for ever.

    It would have worked in the session in which it was sent, or, sent outside of one, in the next.
    """
    session = _first_after(sent_at, sessions)
    if session is None:
        return Proof(End.UNKNOWN, f"Alpaca doesn't know it, and no session after {_said(sent_at)} is stored")
    until = session.close + ARRIVES_WITHIN
    if now < until:
        return Proof(End.UNKNOWN, f"Alpaca doesn't know it, but it may arrive until {_said(until)}")
    hours = ARRIVES_WITHIN.total_seconds() / 3600
    why = f"Alpaca doesn't know it, and what was sent at {_said(sent_at)} can't arrive any more at {_said(now)}: "
    closed = f"the session of {session.date} closed at {_said(session.close)}, more than {hours:.0f} hours before"
    return Proof(End.OVER, why + closed)


def has_outlived(order: Order, sessions: Iterable[Session], now: datetime) -> str:
    """Return the evidence that a DAY order's only session is over, and reports of it with it; empty if it may fill."""
    sent_at = order.submitted_at
    if order.time_in_force is not TimeInForce.DAY or sent_at is None or now - sent_at < ARRIVES_WITHIN:
        return ""
    session = _first_after(sent_at, sessions)
    if session is None or now < session.close + ARRIVES_WITHIN:
        return ""
    return f"it is for one day, and the session of {session.date} closed at {_said(session.close)}"


def _first_after(moment: datetime, sessions: Iterable[Session]) -> Session | None:
    """Return the first of these sessions that ends after a moment."""
    return min((one for one in sessions if one.close > moment), key=lambda one: one.close, default=None)


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
