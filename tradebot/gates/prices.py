"""Limits on what prices do, which hold back entries: how far a perpetual future is from its coin."""

from collections.abc import Iterator, Mapping

from tradebot.gates.common import answer
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason


def basis(quote: Quote | None, limits: Limits) -> Decision | None:
    """Compare how far the mark is from the index, on either side, with its limit, as a fraction of the index.

    A venue that tells neither leaves it unknown, so the limit is only for perpetual futures.
    """
    limit = limits.max_basis_fraction
    if limit is None:
        return None
    if quote is None:
        return Decision(Gate.BASIS, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)
    if quote.premium is None:
        return Decision(Gate.BASIS, Verdict.UNKNOWN, Reason.BASIS_UNKNOWN, None, limit)
    found = abs(quote.premium)
    return answer(Gate.BASIS, found <= limit, Reason.BASIS_TOO_WIDE, found, limit)


def monitors(quotes: Mapping[str, Quote], limits: Limits) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on the prices of what is held, with the symbol concerned."""
    for symbol, quote in sorted(quotes.items()):
        if found := basis(quote, limits):
            yield symbol, found
