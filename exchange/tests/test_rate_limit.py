"""Requests per minute for each key, counted separately for trading and data."""

import asyncio
import json
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World, loop
from papervenue.rate_limit import RateLimit, kind_of

ORDERS, BARS = "/v2/orders", "/v2/stocks/bars"


class Second:
    """A wall clock that moves when it is told to."""

    def __init__(self) -> None:
        self.s = 1_000_000.5

    def __call__(self) -> float:
        return self.s


class Limited:
    """A limit of three requests, or another, around an application that counts."""

    def __init__(self, limit: int | None = 3) -> None:
        self.answered = 0
        self.second = Second()
        self._limit = RateLimit(self._answer, limit, {"sandbox", "alice"}.__contains__, self.second)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.answered += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b"{}"})

    def ask(self, path: str, key: str | None = "sandbox") -> tuple[int, dict[str, str], Any]:
        headers = KEYS | {"APCA-API-KEY-ID": key} if key else {}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        loop().run_until_complete(asyncio.wait_for(self._limit(scope, None, send), 5))  # type: ignore[arg-type]
        sent_headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], sent_headers, json.loads(sent[1]["body"])


def test_request_over_the_limit_is_refused_in_the_form_of_its_api() -> None:
    limited = Limited()
    assert [limited.ask(path)[0] for path in [ORDERS] * 3 + [BARS] * 3] == [200] * 6
    status, headers, body = limited.ask(ORDERS)
    assert (status, body) == (429, {"code": 42910000, "message": "rate limit exceeded"})
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert limited.ask(BARS)[::2] == (429, {"message": "too many requests."})
    assert limited.answered == 6


def test_answers_say_how_many_requests_are_left_and_until_when() -> None:
    limited = Limited()
    answers = [limited.ask(ORDERS)[1] for _ in range(4)]
    assert [headers["x-ratelimit-remaining"] for headers in answers] == ["2", "1", "0", "0"]
    assert {(headers["x-ratelimit-limit"], headers["x-ratelimit-reset"]) for headers in answers} == {("3", "1000060")}


def test_without_a_limit_requests_are_counted_against_alpacas_and_none_is_refused() -> None:
    free = Limited(None)
    answers = [free.ask(ORDERS) for _ in range(203)]
    assert {status for status, _, _ in answers} == {200}
    assert [headers["x-ratelimit-remaining"] for _, headers, _ in answers[-5:]] == ["1", "0", "0", "0", "0"]
    assert {headers["x-ratelimit-limit"] for _, headers, _ in answers} == {"200"}


def test_exchange_reports_alpaca_s_limit_by_default(world: World) -> None:
    for path, left in (("/v2/account", "199"), ("/v2/orders", "198"), ("/v2/stocks/AAPL/trades/latest", "199")):
        headers = world.ask("GET", path).headers
        assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("200", left)
        assert headers["x-ratelimit-reset"].isdigit()


def test_limit_starts_over_after_a_minute() -> None:
    limited = Limited()
    for _ in range(5):
        limited.ask(ORDERS)
    limited.second.s += 59
    assert limited.ask(ORDERS)[0] == 429
    limited.second.s += 1
    assert limited.ask(ORDERS)[0] == 200


def test_each_key_has_its_limit_and_unknown_keys_are_not_counted() -> None:
    limited = Limited()
    assert [limited.ask(ORDERS)[0] for _ in range(4)][-1] == 429
    assert limited.ask(ORDERS, "alice")[0] == 200
    for stranger in ("nobody", None):
        status, headers, _ = limited.ask(ORDERS, stranger)
        assert (status, set(headers)) == (200, {"x"})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/account", "trading"),
        ("/v3/clock", "trading"),
        ("/v1/locates", "trading"),
        ("/v2beta1/events/trades", "trading"),
        ("/v2/stocks/AAPL/bars", "data"),
        ("/v1/corporate-actions", "data"),
        ("/v1beta1/news", "data"),
        ("/exchange/v1/tick", None),
        ("/api/market/market-tide", None),
        ("/", None),
    ],
)
def test_control_and_flow_are_not_limited(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind
