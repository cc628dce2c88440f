"""How a face says no: a status and a JSON body, the same for a live request and for a replayed one."""

from __future__ import annotations

from typing import Any

INVALID = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
MALFORMED = 40010000


class Refusal(Exception):  # noqa: N818 -- an answer of the exchange, not a fault in it
    """A request that is answered with an error status and a JSON body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body.get("message", ""))
        self.status = status
        self.body = body


def invalid(message: str) -> Refusal:
    """Return the 422 for a field whose value makes no sense."""
    return Refusal(422, {"code": INVALID, "message": message})


def unprocessable(message: str, **extra: str) -> Refusal:
    """Return the 422 for a request that is understood and not possible."""
    return Refusal(422, {"code": UNPROCESSABLE, "message": message, **extra})


def forbidden(message: str, **extra: Any) -> Refusal:
    """Return the 403 for an order that the account may not place."""
    return Refusal(403, {"code": FORBIDDEN, "message": message, **extra})


def not_found(message: str) -> Refusal:
    """Return the 404 for a thing that does not exist."""
    return Refusal(404, {"code": NOT_FOUND, "message": message})


def malformed(message: str) -> Refusal:
    """Return the 400 for a request that cannot be read at all."""
    return Refusal(400, {"code": MALFORMED, "message": message})
