"""Listen to Kraken Futures' websocket only to learn that the account has changed; the bot then checks it at once.

The messages' content is ignored: fills, positions and ended orders are read from the REST API alone. False, repeated or
missing messages only cost an unnecessary check, or a check at the usual time.
"""

import json
import threading

from websockets.sync.client import ClientConnection

from tradebot.adapters.failpoint import around
from tradebot.adapters.wire.http import BodyError, decode, printable
from tradebot.adapters.wire.reconnecting_websocket import ReconnectingWebsocket, WebsocketTimeouts
from tradebot.venues.kraken.client import KrakenVenue, signed_challenge

PATH = "/ws/v1"
FILLS, ORDERS = "fills", "open_orders"


class KrakenAccountFeed:
    """Signals each fill, each ended order (whoever ended it), and each new connection."""

    who = "Kraken Futures"

    def __init__(self, venue: KrakenVenue, patience: WebsocketTimeouts | None = None) -> None:
        self._key, self._secret = venue.key, venue.secret
        self._patience = patience or WebsocketTimeouts()
        self._rang = threading.Event()
        self._problem = ""
        address = f"ws{venue.base_url.removeprefix('http')}{PATH}"
        self._kept = ReconnectingWebsocket(address, self, self._patience)

    def rang(self) -> bool:
        """Return True if there was a signal since the last call."""
        rang = self._rang.is_set()
        self._rang.clear()
        return rang

    def problem(self) -> str:
        """Return why no signals can arrive at the moment; empty if they can."""
        return self._problem

    def close(self) -> None:
        """Stop listening."""
        self._kept.close()

    def on_connection_end(self, problem: str, status: int | None) -> bool:
        """Record why the feed is down; return True, because it always reconnects."""
        self._problem = problem
        return True

    def talk(self, connection: ClientConnection) -> str:
        """Authenticate and listen to the account's feeds; return the reason if the venue refuses them."""
        _say(connection, event="challenge", api_key=self._key)
        missing = {FILLS, ORDERS}
        while True:
            try:
                # Once the feeds work, the library detects a dead connection with its pings.
                message = _read(connection.recv(self._patience.open_s if missing else None))
            except TimeoutError:
                return "Kraken Futures didn't answer in time"
            event, feed = message.get("event"), message.get("feed")
            if missing and event in ("alert", "error"):
                return f"Kraken Futures refused the feed: {printable(str(message.get('message')))}"
            if event == "challenge":
                for name in sorted(missing):
                    _say(connection, event="subscribe", feed=name, **self._sign_challenge(str(message.get("message"))))
            elif missing and event == "subscribed":
                missing.discard(str(feed))
                if not missing:
                    # Events before the connection aren't reported, so a new connection is a reason to check too.
                    self._problem = ""
                    self._rang.set()
            elif feed == FILLS or (feed == ORDERS and message.get("is_cancel")):
                self._rang.set()

    def _sign_challenge(self, challenge: str) -> dict[str, str]:
        signed = signed_challenge(self._secret, challenge)
        return {"api_key": self._key, "original_challenge": challenge, "signed_challenge": signed}


def _say(connection: ClientConnection, **words: str) -> None:
    with around("account_feed.say"):
        connection.send(json.dumps(words))


def _read(frame: str | bytes) -> dict[str, object]:
    """Parse a message; return an empty one if it is unreadable."""
    try:
        message = decode(frame.encode() if isinstance(frame, str) else frame)
    except BodyError:
        return {}
    return message if isinstance(message, dict) else {}
