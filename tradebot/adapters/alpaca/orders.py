"""Orders at Alpaca: one read by its id, and the port that sends each order once."""

from collections.abc import Mapping
from urllib.parse import quote

from tradebot.adapters.alpaca.models import read_order
from tradebot.adapters.alpaca.replies import (
    adopted,
    may_be_duplicate,
    order_body,
    price_body,
    refusal,
    submit_reply,
    unknown,
)
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.adapters.alpaca.wire import AlpacaClient, AlpacaReads, RefusedReadError
from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.wire.http import Answer, Bounds, RetryPolicy, WireError
from tradebot.adapters.wire.rows import DriftTally, RowError
from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.intent import Intent
from tradebot.model.order import Order, OrderStatus, Outcome, Reply


def one_order(reads: AlpacaReads, path: str, params: Mapping[str, str] | None, tally: DriftTally) -> Order | None:
    """Return one order; None only for the venue's own "not found", because any other 404 proves nothing."""
    try:
        return read_order(reads.json(path, params), tally)
    except RefusedReadError as error:
        if error.status == 404 and error.venue_code is not None:
            return None
        raise
    except RowError as error:
        raise TemporaryError(f"the venue's order cannot be read: {error}") from error


def order_path(venue_id: str) -> str:
    """Return the path of an order by the venue's own id."""
    return f"/orders/{quote(venue_id, safe='')}"


class AlpacaOrders:
    """Writes to the venue: one request per call, and a look-up where the answer leaves a question."""

    def __init__(
        self,
        venue: AlpacaVenue,
        tally: DriftTally,
        *,
        bounds: Bounds | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._client = AlpacaClient(venue.base_url, venue, bounds or Bounds())
        self._reads = AlpacaReads(self._client, policy or RetryPolicy())
        self._tally = tally

    def submit(self, intent: Intent) -> Reply:
        """Send one order once; anything but a clear yes or no is Outcome.UNKNOWN."""
        return self._make(intent, "POST", "/orders", order_body(intent))

    def replace(self, intent: Intent) -> Reply:
        """Ask the venue once for `intent.target_venue_id` at another price; the quantity is not touched.

        An order is replaced once at most, so a refusal may be the answer to a second delivery: it is looked up.
        """
        assert intent.target_venue_id is not None, "a replace names the venue's order"
        return self._make(intent, "PATCH", order_path(intent.target_venue_id), price_body(intent))

    def cancel(self, intent: Intent) -> Reply:
        """Ask the venue once to end `intent.target_venue_id`; an order done or ending counts as accepted."""
        assert intent.target_venue_id is not None, "a cancel names the venue's order"
        path = order_path(intent.target_venue_id)
        answer = self._send("DELETE", path)
        if isinstance(answer, Reply):
            return answer
        if answer.status == 204:
            return Reply(Outcome.ACCEPTED)
        refused = refusal(answer)
        if refused is None:
            return unknown(f"http_{answer.status}", answer.excerpt)
        return self._already_done(path, refused) if answer.status == 422 else refused

    def _make(self, intent: Intent, method: str, path: str, body: Mapping[str, str]) -> Reply:
        """Send the request that makes an order of an intent; where its id is taken already, that order is the reply."""
        answer = self._send(method, path, body)
        if isinstance(answer, Reply):
            return answer
        reply = submit_reply(answer, intent, self._tally)
        return self._look_up(intent, reply) if may_be_duplicate(answer) else reply

    def _send(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Answer | Reply:
        try:
            with around("alpaca.send"):
                return self._client.ask(method, path, body)
        except WireError as fault:
            return unknown("no_answer", str(fault))

    def _look_up(self, intent: Intent, refused: Reply) -> Reply:
        params = {"client_order_id": intent.client_order_id}
        try:
            order = one_order(self._reads, "/orders:by_client_order_id", params, self._tally)
        except TradebotError as error:
            return unknown("duplicate_not_read", error.message)
        return adopted(order, intent, refused)

    def _already_done(self, path: str, refused: Reply) -> Reply:
        try:
            order = one_order(self._reads, path, None, self._tally)
        except TradebotError as error:
            return unknown("order_not_read", error.message)
        done = order is not None and (order.status.terminal or order.status is OrderStatus.PENDING_CANCEL)
        outcome = Outcome.ACCEPTED if done else Outcome.REJECTED
        return Reply(outcome, order, refused.code, refused.message)
