"""Check that key, address and mode belong together, before any request is sent."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from tradebot.adapters.wire.allowed_hosts import check_secret, check_url, is_loopback
from tradebot.adapters.wire.http import HttpReply, HttpSession
from tradebot.errors import OperatorError
from tradebot.model.trading import Mode
from tradebot.venues.kraken.account_id import AccountNumber
from tradebot.venues.kraken.capabilities import KEY, SECRET, URL
from tradebot.venues.kraken.client import Known, KrakenVenue
from tradebot.venues.kraken.nonce import Nonces
from tradebot.venues.kraken.opening_equity import OpeningEquity
from tradebot.venues.kraken.request_budget import RequestBudget
from tradebot.venues.kraken.signing import decode_secret

ADDRESSES: Mapping[Mode, str] = {
    Mode.PAPER: "https://demo-futures.kraken.com",
    Mode.LIVE: "https://futures.kraken.com",
}
"""Where each mode trades; the demo environment has keys of its own."""


def venue_of(
    mode: Mode,
    url: str | None,
    key: str,
    secret: str,
    folder: Path | None,
    before_read: Callable[[], None],
    heard: Callable[[HttpReply], None],
    known: Known | None = None,
    connection: HttpSession | None = None,
) -> KrakenVenue:
    """Return the account at an address, by default that of the mode; raise OperatorError if they don't fit together."""
    address = url or ADDRESSES[mode]
    check_url(URL, address, tuple(ADDRESSES.values()))
    check_secret(KEY, key)
    check_secret(SECRET, secret)
    decode_secret(secret)
    if mode is Mode.SANDBOX and not is_loopback(address):
        raise OperatorError("sandbox mode only trades on the embedded exchange", f"unset {URL}")
    if mode is not Mode.SANDBOX and address != ADDRESSES[mode]:
        raise OperatorError(
            f"mode {mode} does not fit {URL}", f"unset {URL}; the mode says which address is used: {ADDRESSES[mode]}"
        )
    kept = Nonces(folder), OpeningEquity(folder), AccountNumber(folder, key)
    # The embedded exchange counts nothing while its time stands still, and there nothing would be gained by waiting.
    pace = None if mode is Mode.SANDBOX else RequestBudget()
    return KrakenVenue(address, key, secret, *kept, before_read, heard, pace=pace, known=known, connection=connection)


def sandbox_secret(key: str) -> str:
    """Return the secret that the embedded exchange expects with a key."""
    return base64.b64encode(key.encode()).decode()
