"""Approval: whether a person has approved an entry that passed every other gate.

An approval is valid for one order, for the side that was shown and at most the size that was shown, and only while the
price is at most slightly worse. It expires after the time allowed for answering, but not before `LEAST_GOOD`. So an
entry that must first wait for room is still approved once there is some. In a strategy's own slot, an approval is valid
for the slot. A refusal counts for the session, or for that slot. If nobody answers, no new request is made for the time
`SILENCE`, or in that slot.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import ApprovalRules
from tradebot.model.reasons import Reason
from tradebot.model.trading import ApprovalAnswer, Request

LEAST_GOOD = timedelta(minutes=15)
"""How long an approval is valid, at least."""
SILENCE = timedelta(hours=1)
"""How long to wait before requesting approval again if nobody answered."""


def decide_by_approval(
    wish: Request, last_request: Request | None, rules: ApprovalRules, *, used: bool
) -> Decision | None:
    """Decide about an entry from the last request for its strategy and symbol; None means that a new request is needed.

    `wish` is the request that would be created now, and `last_request` the latest one. `used` is True if an order was
    already recorded that relied on the latest request's approval.
    """
    now = wish.asked_at
    if last_request is None or used or last_request.reach != wish.reach:
        return None
    if last_request.answer is ApprovalAnswer.NO:
        return Decision(Gate.APPROVAL, Verdict.FAIL, Reason.APPROVAL_REFUSED, last_request.id)
    if last_request.answer is ApprovalAnswer.YES:
        return _judge_price(wish, last_request, rules) if _is_valid(last_request, rules, now) else None
    age_s = (now - last_request.asked_at).total_seconds()
    limit_s = (last_request.expires_at - last_request.asked_at).total_seconds()
    if last_request.waits(now):
        return waiting(age_s, limit_s)
    if wish.slot or now - last_request.expires_at < SILENCE:
        return Decision(Gate.APPROVAL, Verdict.FAIL, Reason.APPROVAL_EXPIRED, age_s, limit_s, age_s)
    return None


def waiting(age_s: float, limit_s: float) -> Decision:
    """Build the decision about an entry whose request has waited for `age_s` of `limit_s` seconds."""
    return Decision(Gate.APPROVAL, Verdict.UNKNOWN, Reason.APPROVAL_WAITING, age_s, limit_s, age_s)


def worst_price(request: Request, rules: ApprovalRules) -> Decimal:
    """Return the worst price at which an approval of this request is still valid, unrounded."""
    return request.price * (1 + request.side.sign * rules.max_worse_fraction)


def _is_valid(request: Request, rules: ApprovalRules, now: datetime) -> bool:
    assert request.answered_at is not None, "every answer has a time"
    assert rules.wait_s is not None, "only a request is answered"
    life = max(timedelta(seconds=rules.wait_s), LEAST_GOOD)
    return bool(request.slot) or now - request.answered_at < life


def _judge_price(wish: Request, request: Request, rules: ApprovalRules) -> Decision:
    worst = worst_price(request, rules)
    if (wish.price - worst) * wish.side.sign > 0:
        return Decision(Gate.APPROVAL, Verdict.FAIL, Reason.APPROVAL_PRICE_WORSE, wish.price, worst)
    return Decision(Gate.APPROVAL, Verdict.PASS, None, request.id)
