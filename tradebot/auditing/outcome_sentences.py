"""Say in sentences what measured outcomes mean, and plainly when there is too little to know."""

from tradebot.auditing.forward_returns import HORIZONS
from tradebot.auditing.intervals import fewest_sessions
from tradebot.auditing.outcomes import WORTH_SEEING, Measured, Refusals
from tradebot.model.text import counted

_REACH = {horizon.name: horizon.reach for horizon in HORIZONS}


def verdict(found: Measured) -> str:
    """Say whether a score predicts until one horizon."""
    if found.mean is None:
        return "nothing is over yet"
    if found.low is None:
        least = fewest_sessions(_REACH[found.horizon])
        if found.sessions >= least:
            return "all sessions are alike, which proves nothing"
        return f"too little to know: {found.sessions:,} of at least {least} sessions"
    if found.is_found:
        return "it predicts" if found.mean > 0 else "it predicts the opposite"
    assert found.needed is not None, "an interval comes with what it would take"
    if found.needed <= found.sessions:
        return f"no better than chance; an effect of {WORTH_SEEING:.1%} would probably show by now"
    return f"can't be told from chance; to see {WORTH_SEEING:.1%} takes about {counted(found.needed, 'session')}"


def what_refusals_did(found: Refusals | None, benchmark: str | None) -> str:
    if found is None:
        return "No trade that a gate refused is over yet, so nothing can be said about refusals."
    gross = "" if benchmark is None else f" more than the same in {benchmark}"
    gained = f"{'made' if found.usd >= 0 else 'lost'} {abs(found.usd):,.2f} USD{gross}"
    if benchmark is not None and found.usd < 0:
        gained = f"made {-found.usd:,.2f} USD less than the same in {benchmark}"
    what = (
        f"The gates refused {counted(found.trades, 'trade')} in {counted(found.sessions, 'session')}; with "
        f"{found.stake_usd:,} USD in each, held to the close, they would have {gained}"
    )
    if found.low_usd is None or found.high_usd is None:
        return f"{what}, but {counted(found.sessions, 'session')} can't show whether that was chance."
    span = f"95% interval {found.low_usd:+,.2f} to {found.high_usd:+,.2f} USD"
    if found.low_usd > 0:
        return f"{what} ({span}): refusing them cost money."
    if found.high_usd < 0:
        return f"{what} ({span}): refusing them saved money."
    return f"{what} ({span}): refusing them neither clearly cost nor clearly saved money."
