"""One more question for prices that jumped, answered within five seconds of a real venue's time or not at all."""

import time
from collections.abc import Callable, Mapping, Sequence

from tradebot.adapters.alpaca.models import read_quote
from tradebot.adapters.alpaca.venue import SANDBOX_FEED, AlpacaVenue
from tradebot.adapters.alpaca.wire import AlpacaClient, AlpacaReads
from tradebot.adapters.wire.http import Bounds, RetryPolicy
from tradebot.adapters.wire.rows import DriftTally, RowError
from tradebot.errors import TemporaryError
from tradebot.model.bar import Quote
from tradebot.model.trading import Mode

WAIT_S = 1.0
"""A wrong quote is gone after a moment; a fallen market is not."""
HASTY = Bounds(connect_s=1.0, read_s=1.0, total_s=2.0)
"""Together with the wait, and with a last piece of the body that comes late, less than five seconds."""
MOST_SYMBOLS = 100
"""As many as one request may name."""


def ask_again(
    venue: AlpacaVenue, tally: DriftTally, symbols: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> Mapping[str, Quote]:
    """Return the quotes of these symbols by one request, sent once; those that it leaves out are absent.

    In lock-step the market stands still, so nobody waits and the same answer comes again. Raises TradebotError.
    """
    lock_step = venue.mode is Mode.SANDBOX
    if not lock_step:
        sleep(WAIT_S)
    asked = symbols[:MOST_SYMBOLS]
    params = {"symbols": ",".join(asked)} | ({} if venue.feed == SANDBOX_FEED else {"feed": venue.feed})
    reads = AlpacaReads(AlpacaClient(venue.data_url, venue, Bounds() if lock_step else HASTY), RetryPolicy(attempts=1))
    answer = reads.json("/stocks/snapshots", params)
    if not isinstance(answer, dict):
        raise TemporaryError("GET /stocks/snapshots answered something else than an object")
    quotes = {}
    for symbol in asked:
        try:
            quotes[symbol] = read_quote(symbol, answer.get(symbol), venue.feed, tally)
        except RowError as error:
            tally.note("snapshot", error.field_name, f"second look: {error.problem}")
    return quotes
