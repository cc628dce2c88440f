"""Tell whose request it is by its signature, and see to it that the nonces of a key rise."""

from __future__ import annotations

import base64
import hashlib
import hmac

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.kraken.words import error
from papervenue.faces.web import Call

PREFIX = "/derivatives"
"""What isn't signed of a path."""


def client_secret(secret: str) -> str:
    """Return the secret that a client signs with, which it expects in base64."""
    return base64.b64encode(secret.encode()).decode()


class Keys:
    """The keys of an exchange's accounts: an account's secret, in base64, is the secret of its key.

    The last nonces are kept in memory only: an exchange that starts again takes any. A real key would remember, so a
    client has to remember as well, and does for that venue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._nonces: dict[str, int] = {}

    def owner(self, call: Call) -> Account:
        """Return the account whose key has signed a request; raise the Refusal that says what is wrong."""
        key, nonce = call.headers.get("apikey", ""), call.headers.get("nonce", "")
        opened = (account for account in self._engine.accounts.values() if account.key_id == key)
        account = next((one for one in opened if _is_signed(call, one.secret, nonce)), None)
        if account is None or not (nonce.isdecimal() or not nonce):
            raise error(self._engine.now_us, "authenticationError")
        # A script that shows an account as it was asks a second time, with the same nonce.
        if nonce and self._engine.shown_us is None:
            self._check_nonce(key, int(nonce))
        return account

    def _check_nonce(self, key: str, nonce: int) -> None:
        last = self._nonces.get(key, -1)
        if nonce <= last:
            word = "nonceDuplicate" if nonce == last else "nonceBelowThreshold"
            raise error(self._engine.now_us, word)
        self._nonces[key] = nonce


def _is_signed(call: Call, secret: str, nonce: str) -> bool:
    """Return True if a request has the right signature: over its query and body as sent, its nonce, and its path."""
    path = call.raw_path.removeprefix(PREFIX)
    digest = hashlib.sha256(f"{call.raw_query}{call.body}{nonce}{path}".encode()).digest()
    signature = base64.b64encode(hmac.new(secret.encode(), digest, hashlib.sha512).digest())
    return hmac.compare_digest(signature, call.headers.get("authent", "").encode(errors="replace"))
