"""Reduce facts to what decisions read, because full rows for thousands of symbols would fill the memory."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from tradebot.model.flow import (
    DarkPoolPrint,
    Fact,
    FlowAlert,
    GreekExposure,
    IvRank,
    LeanFact,
    OiChange,
    SessionGex,
    SignedOiChange,
    SignedPrint,
)
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts


def lean(fact: Fact) -> LeanFact:
    """Return the part of a fact that decisions read; alerts, IV ranks and tide ticks are kept in full."""
    match fact:
        case DarkPoolPrint():
            return signed_print(fact)
        case GreekExposure():
            return session_gex(fact)
        case OiChange():
            return signed_oi_change(fact)
        case _:
            return fact


def signed_print(trade: DarkPoolPrint) -> SignedPrint:
    """Return a print's time, premium in USD and direction sign."""
    return SignedPrint(trade.at, float(trade.premium), trade.direction.sign)


def session_gex(exposure: GreekExposure) -> SessionGex:
    """Return the date and gamma exposure of one session."""
    return SessionGex(exposure.date, float(exposure.gex))


def signed_oi_change(change: OiChange) -> SignedOiChange:
    """Return an option symbol's change in open interest, signed so that positive is bullish."""
    return SignedOiChange(change.date, change.change if change.right is Right.CALL else -change.change)


def symbol_facts(
    symbol: str,
    *,
    alerts: Iterable[FlowAlert],
    prints: Iterable[SignedPrint],
    exposures: Iterable[SessionGex],
    ranks: Iterable[IvRank],
    oi_changes: Sequence[SignedOiChange],
) -> SymbolFacts:
    """Combine one symbol's facts, given in any order; of dated facts, the latest counts.

    Earlier gamma exposures set the scale for the latest. The caller leaves out facts later than the session, and adds
    what is known about the last reply with alerts.
    """
    gex = [exposure.gex for exposure in sorted(exposures)]
    newest = max((change.date for change in oi_changes), default=None)
    changes = [change.contracts for change in oi_changes if change.date == newest]
    return SymbolFacts(
        symbol,
        alerts=tuple(sorted(alerts, key=lambda alert: (alert.at, alert.id))),
        prints=tuple(sorted(prints)),
        gex=gex[-1] if gex else None,
        gex_scale=fmean(map(abs, gex[:-1])) if gex[:-1] else None,
        gex_sessions=len(gex[:-1]),
        iv_rank=max(ranks, key=lambda rank: (rank.date, rank.id), default=None),
        oi_net=sum(changes),
        oi_gross=sum(map(abs, changes)),
        oi_contracts=len(changes),
    )
