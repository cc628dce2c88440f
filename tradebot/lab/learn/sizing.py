"""What closed trades say about the size of orders, and whether those with a strong score did better."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from statistics import fmean

from tradebot.auditing.intervals import LEVEL, estimate, fewest_sessions
from tradebot.lab.learn.altered import missing_of
from tradebot.lab.learn.values import Item, Outcome, Proposal, more_needed
from tradebot.model.text import counted

RETURN = "return, as a fraction"
WORTH = 0.001
"""A difference of 0.1% in what two trades return."""


def conviction(strategy: str, outcomes: Sequence[Outcome]) -> Proposal:
    """Return whether trades with a strong score returned more than those with a weak one; no setting follows."""
    scored = [one for one in outcomes if one.trade.entry_score is not None]
    differences = _differences(scored)
    missing, missing_sessions = missing_of(scored)
    missing_sessions = max(missing_sessions, fewest_sessions(1) - len(differences), 0)
    enough = not missing and not missing_sessions
    found = estimate(differences, 1, WORTH) if enough else None
    if not found or found.low is None or found.high is None or found.p is None:
        evidence = f"{counted(len(scored), 'closed trade')} with a score: "
        evidence += "all alike." if enough else more_needed(missing, missing_sessions)
    else:
        proven = found.p <= LEVEL
        evidence = (
            f"The half with the stronger scores returned {found.mean:+.2%} beside the weaker half (95% interval "
            f"{found.low:+.2%} to {found.high:+.2%}): {'more than chance' if proven else 'no more than chance'}. No "
            "setting follows: the score decides what is bought, and limits how much of it."
        )
    return Proposal(
        item=Item.SIZING,
        strategy=strategy,
        setting=None,
        value=None,
        proposed=None,
        n=len(scored),
        unit=RETURN,
        observed=found.mean if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        missing=missing,
        missing_sessions=missing_sessions,
        evidence=evidence,
    )


def _differences(scored: Sequence[Outcome]) -> list[float]:
    """Return for each session with both kinds by how much the stronger scores returned more."""
    ranked = sorted(abs(one.trade.entry_score or 0.0) for one in scored)
    middle = ranked[len(ranked) // 2] if ranked else 0.0
    strong, weak = defaultdict[date, list[float]](list), defaultdict[date, list[float]](list)
    for one in scored:
        (strong if abs(one.trade.entry_score or 0.0) >= middle else weak)[one.session].append(one.net / one.worth)
    return [fmean(strong[day]) - fmean(weak[day]) for day in sorted(strong.keys() & weak.keys())]
