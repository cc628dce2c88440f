"""Refuse a request with a status and a JSON body, which are the same whether the request is live or replayed.

The log stores the body of a refused command, and a replay must produce the same bytes. So the text of an existing
message must not change: otherwise a folder whose log contains it could no longer be opened.
"""

from __future__ import annotations

from typing import Any

INVALID = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
MALFORMED = 40010000


class Refusal(Exception):  # noqa: N818 -- an answer of the exchange, not a fault in it
    """Raised for a request that is answered with an error status and a JSON body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body.get("message", ""))
        self.status = status
        self.body = body


def invalid(message: str) -> Refusal:
    """Return the 422 for a field with an invalid value."""
    return Refusal(422, {"code": INVALID, "message": message})


def unprocessable(message: str, **extra: str) -> Refusal:
    """Return the 422 for a request that is understood but impossible."""
    return Refusal(422, {"code": UNPROCESSABLE, "message": message, **extra})


def forbidden(message: str, **extra: Any) -> Refusal:
    """Return the 403 for an order that the account may not place."""
    return Refusal(403, {"code": FORBIDDEN, "message": message, **extra})


def not_found(message: str) -> Refusal:
    """Return the 404 for something that doesn't exist."""
    return Refusal(404, {"code": NOT_FOUND, "message": message})


def malformed_request(message: str) -> Refusal:
    """Return the 400 for a request that can't be read."""
    return Refusal(400, {"code": MALFORMED, "message": message})
