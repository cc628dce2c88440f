"""Sign requests to Kraken Futures, as its documentation of the REST API's authentication says."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tradebot.errors import ExitCode, OperatorError

PREFIX = "/derivatives"
"""What isn't signed of a path."""


def headers(key: str, secret: str, path: str, sent: str, nonce: int) -> Mapping[str, str]:
    """Return the headers of a request: `path` is that of its address, `sent` its encoded query or body.

    Authent is the base64 text of HMAC-SHA512, keyed by the decoded secret, over SHA256(sent + nonce + path). Raises
    OperatorError if the secret isn't base64.
    """
    digest = hashlib.sha256(f"{sent}{nonce}{path.removeprefix(PREFIX)}".encode()).digest()
    signature = hmac.new(decode_secret(secret), digest, hashlib.sha512).digest()
    return {"APIKey": key, "Nonce": str(nonce), "Authent": base64.b64encode(signature).decode()}


def signed_challenge(secret: str, challenge: str) -> str:
    """Return what answers a challenge of the websocket: HMAC-SHA512 over SHA256(challenge), as base64 text."""
    digest = hashlib.sha256(challenge.encode()).digest()
    return base64.b64encode(hmac.new(decode_secret(secret), digest, hashlib.sha512).digest()).decode()


def decode_secret(secret: str) -> bytes:
    """Return the key of signatures in a secret; raise OperatorError if it isn't base64 text."""
    try:
        return base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OperatorError(
            "the secret of Kraken Futures isn't base64 text",
            "copy KRAKEN_FUTURES_SECRET again from the page that made the key",
            code=ExitCode.AUTHENTICATION,
        ) from error
