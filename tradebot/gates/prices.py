"""Limits on prices that block entries.

They limit how far a contract's price may be from its coin's, how far prices may have moved, and how thin the order book
may be.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tradebot.gates.ask import CANDIDATE
from tradebot.gates.gate_declarations import QUIET, SMALLER, STYLE, GateSettings, declare
from tradebot.gates.shared_gates import answer, check_cooldown
from tradebot.model.bar import Depth, Quote
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.registry import TierRules


def basis(quote: Quote | None, limits: Limits) -> Decision | None:
    """Compare the distance of the mark from the index, on either side, with its limit, as a fraction of the index.

    The distance is unknown unless the venue reports both prices, so the limit makes sense only for perpetual futures.
    """
    limit = limits.max_basis_fraction
    if limit is None:
        return None
    if quote is None:
        return Decision(Gate.BASIS, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)
    if quote.premium is None:
        return Decision(Gate.BASIS, Verdict.UNKNOWN, Reason.BASIS_UNKNOWN, None, limit)
    distance = abs(quote.premium)
    return answer(Gate.BASIS, distance <= limit, Reason.BASIS_TOO_WIDE, distance, limit)


def shock(desk: Desk, quote: Quote | None, limits: Limits, symbol: str) -> Decision | None:
    """Compare the time since the last price shock with how long entries wait after one.

    The symbol's own last shock counts, and so does the last market-wide one. If a contract's mark is now too far from
    the coin's price, that counts as a shock too, and this refusal records it.
    """
    wait_s, apart = limits.shock_wait_s, limits.max_basis_shock_fraction
    if wait_s is None:
        return None
    if apart is not None:
        if quote is None or quote.premium is None:
            reason = Reason.BASIS_UNKNOWN if quote else Reason.QUOTE_MISSING
            return Decision(Gate.SHOCK, Verdict.UNKNOWN, reason, None, wait_s)
        if abs(quote.premium) >= apart:
            return Decision(Gate.SHOCK, Verdict.FAIL, Reason.BASIS_SHOCK, abs(quote.premium), apart)
    if desk.shocks is None or symbol not in desk.shocks.known:
        return Decision(Gate.SHOCK, Verdict.UNKNOWN, Reason.SHOCKS_UNKNOWN, None, wait_s)
    own = check_cooldown(Gate.SHOCK, Reason.SHOCKED, desk.shocks.last.get(symbol), desk.now, wait_s)
    return (
        check_cooldown(Gate.SHOCK, Reason.SHOCKED_EVERYWHERE, desk.shocks.everywhere, desk.now, wait_s)
        if own.passed
        else own
    )


def slippage_of(limits: Limits, tier: TierRules | None) -> Decimal | None:
    """Return how far past the best price an entry may go, as a fraction; a tier may set a tighter limit."""
    limit = limits.max_slippage_fraction
    return limit if limit is None or tier is None else min(limit, tier.slippage_fraction)


def depth(side: Side, quote: Quote, quantity: Decimal, resting: Depth | None, slippage: Decimal) -> Decision:
    """Compare an entry's size with the depth on the opposite side, from the quote's best price to `slippage` beyond it.

    `quote` must be the quote from which the entry's size and price were computed. If the market has moved away since,
    less depth is found.
    """
    if resting is None:
        return Decision(Gate.DEPTH, Verdict.UNKNOWN, Reason.DEPTH_UNKNOWN, quantity)
    touch = quote.ask if side is Side.BUY else quote.bid
    offered = resting.quantity_within(side, touch * (1 + side.sign * slippage))
    return answer(Gate.DEPTH, quantity <= offered, Reason.DEPTH_TOO_THIN, quantity, offered)


def monitors(quotes: Mapping[str, Quote], limits: Limits) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each price limit for the symbols of positions."""
    for symbol, quote in sorted(quotes.items()):
        if decision := basis(quote, limits):
            yield symbol, decision


CANDIDATE.gate(Gate.BASIS, GateSettings(own={"max_basis_fraction": "a mark price near the coin's price again"}))(
    lambda ask: basis(ask.quote, ask.limits)
)
CANDIDATE.gate(
    Gate.SHOCK,
    GateSettings(
        {"shock_wait_s": QUIET, "max_basis_shock_fraction": "shock_wait_s after the two are close again"},
        fixed={
            "max_minute_move_fraction": "shock_wait_s after the last such move",
            "max_minute_range_fraction": "shock_wait_s after the last such move",
            "max_shocked_symbols": "shock_wait_s after the last such minute",
        },
    ),
)(lambda ask: shock(ask.desk, ask.quote, ask.account.limits, ask.candidate.symbol))
declare(
    Gate.DEPTH,
    reads=GateSettings(
        own={"max_slippage_fraction": "more depth near the best price"}, execution=(STYLE,), sized=SMALLER
    ),
)
