"""Work out what the reply to a write proves: accepted, rejected, or nothing. Pure; the sockets are elsewhere."""

import re
from collections.abc import Mapping

from tradebot.adapters.wire.http import BodyError, HttpReply, printable
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.model.intent import ID_CONFLICT, Intent
from tradebot.model.order import Order, Reply, WriteOutcome
from tradebot.venues.alpaca.parsers import read_legs, read_order

UNAUTHORIZED = "unauthorized"

_CODE = re.compile(r"[0-9]{8}", re.ASCII)
_REFUSING = frozenset({400, 403, 404, 422})
_MAY_BE_DUPLICATE = frozenset({"40010001", "42210000"})


def unknown_outcome(code: str, message: str) -> Reply:
    """Return a reply that proves nothing: the request may have arrived."""
    return Reply(WriteOutcome.UNKNOWN, code=code, message=message)


def submit_reply(answer: HttpReply, intent: Intent, tally: DriftTally) -> Reply:
    """Return what the reply to a new or repriced order proves; only a 2xx that repeats the order means yes."""
    if not 200 <= answer.status < 300:
        return refusal(answer) or unknown_outcome(f"http_{answer.status}", answer.excerpt)
    try:
        body = answer.json()
        order, legs = read_order(body, tally), read_legs(body, tally)
    except (BodyError, RowError) as error:
        return unknown_outcome("unreadable", str(error))
    if not intent.asked_for(order):
        return unknown_outcome("mismatch", f"the broker returned another order: {order.client_order_id}")
    return Reply(WriteOutcome.ACCEPTED, order, legs=legs)


def refusal(answer: HttpReply) -> Reply | None:
    """Return a rejection if the venue's own error body proves that it refused; None otherwise."""
    body = _error_body(answer)
    message = printable(str(body.get("message", "")))
    if answer.status == 401 and message:
        return Reply(WriteOutcome.REJECTED, code=UNAUTHORIZED, message=message)
    code = error_code(answer)
    if answer.status not in _REFUSING or code is None:
        return None
    return Reply(WriteOutcome.REJECTED, code=code, message=message)


def error_code(answer: HttpReply) -> str | None:
    """Return the venue's eight-digit error code; None if the answer has none."""
    code = str(_error_body(answer).get("code", ""))
    return code if _CODE.fullmatch(code) else None


def _error_body(answer: HttpReply) -> Mapping[str, object]:
    try:
        body = answer.json()
    except BodyError:
        return {}
    return body if isinstance(body, dict) else {}


def may_be_duplicate(answer: HttpReply) -> bool:
    """Return True if the refusal may mean that the id is taken; other causes share its status and codes."""
    return answer.status == 422 and error_code(answer) in _MAY_BE_DUPLICATE


def says_duplicate(refusal_reply: Reply) -> bool:
    """Return True if the venue's message suggests that the id is taken."""
    return "unique" in (refusal_reply.message or "")


def resolve_duplicate(order: Order | None, intent: Intent, refusal_reply: Reply) -> Reply:
    """Return what a lookup by id proves after a refusal that may have meant a duplicate id.

    If the order found is the one we asked for, it is ours. If it differs, someone else used our id. If there is none,
    the refusal stands, unless its message said that the id is taken, because then the two answers contradict each
    other.
    """
    if order is None:
        return (
            unknown_outcome("duplicate_not_found", refusal_reply.message or "")
            if says_duplicate(refusal_reply)
            else refusal_reply
        )
    if intent.asked_for(order):
        return Reply(WriteOutcome.ACCEPTED, order)
    return Reply(WriteOutcome.REJECTED, order, ID_CONFLICT, "another order holds this client order id")
