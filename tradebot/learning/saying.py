"""The decisions by which a policy says who acts, and why its models don't. Quick verbs read them in records."""

from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reasons import Reason

MODEL, ANSWER = "model", "answer"
"""What decisions of a policy are about: whether its models act, and what each of them answered."""
LONGEST = 200
"""How many characters of what was observed are recorded."""


def said(about: str, reason: Reason | None, observed: Number | str, limit: Number | str | None = None) -> Decision:
    """Return a decision that refuses nothing: to hold nothing is an answer too."""
    return Decision(Gate.STRATEGY, Verdict.PASS, reason, observed, limit, about=about)


def refusal(reason: Reason, observed: Number | str, limit: Number | str | None = None) -> Decision:
    """Return the decision that no model acts."""
    told = observed[:LONGEST] if isinstance(observed, str) else observed
    return Decision(Gate.STRATEGY, Verdict.FAIL, reason, told, limit, about=MODEL)
