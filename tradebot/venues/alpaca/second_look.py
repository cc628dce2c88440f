"""Ask once more for prices that jumped; a real venue gets five seconds to answer, or there is no answer."""

import time
from collections.abc import Callable, Mapping, Sequence

from tradebot.adapters.wire.http import Bounds, RetryPolicy
from tradebot.adapters.wire.rows import DriftTally, RowError
from tradebot.errors import TemporaryError
from tradebot.model.bar import Quote
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.models import read_quote
from tradebot.venues.alpaca.venue import AlpacaVenue
from tradebot.venues.alpaca.wire import AlpacaClient, AlpacaReads

WAIT_S = 1.0
"""How long to wait before asking again: a wrong quote is gone after a moment, a fallen market is not."""
HASTY = Bounds(connect_s=1.0, read_s=1.0, total_s=2.0)
"""Together with the wait, and with a late last piece of the body, this stays under five seconds."""
MOST_SYMBOLS = 100
"""The largest number of symbols that one request may name."""


def ask_again(
    venue: AlpacaVenue, tally: DriftTally, symbols: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> Mapping[str, Quote]:
    """Return the quotes of these symbols from a single request; symbols without a usable quote are left out.

    In lock-step the market stands still, so there is no wait and the answer is the same. Raises TradebotError.
    """
    lock_step = venue.mode is Mode.SANDBOX
    if not lock_step:
        sleep(WAIT_S)
    requested = symbols[:MOST_SYMBOLS]
    client = AlpacaClient(venue.data_url, venue, Bounds() if lock_step else HASTY)
    reads = AlpacaReads(client, RetryPolicy(attempts=1), venue.before_read)
    answer = reads.json("/stocks/snapshots", venue.query_of(requested))
    if not isinstance(answer, dict):
        raise TemporaryError("GET /stocks/snapshots did not return an object")
    quotes = {}
    for symbol in requested:
        try:
            quotes[symbol] = read_quote(symbol, answer.get(symbol), venue.feed, tally)
        except RowError as error:
            tally.note("snapshot", error.field_name, f"second look: {error.problem}")
    return quotes
