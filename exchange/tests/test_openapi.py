"""The validator itself: what it lets pass, and that it sees what it is there to see."""

import json
from typing import Any

import pytest

from exchange.tests.kit.openapi import Api, trading_api

JSON = "application/json; charset=utf-8"
CLOCK = {
    "timestamp": "2025-03-03T10:00:00-05:00",
    "is_open": True,
    "next_open": "2025-03-04T09:30:00-05:00",
    "next_close": "2025-03-03T16:00:00-05:00",
}
ERROR = {"code": 42210000, "message": "no"}


@pytest.fixture
def api() -> Api:
    return trading_api()


def problems(api: Api, value: object, status: int = 200, target: str = "/v2/clock", method: str = "GET") -> list[str]:
    return api.problems(method, target, status, JSON, json.dumps(value).encode())


def test_a_documented_answer_has_no_problem(api: Api) -> None:
    assert problems(api, CLOCK) == []
    assert problems(api, ERROR, 422) == []
    assert problems(api, {"message": "unauthorized."}, 401) == []
    assert api.problems("DELETE", "/v2/orders/a", 204, "", b"") == []


@pytest.mark.parametrize(
    "change",
    [
        {"is_open": "true"},
        {"is_open": None},
        {"timestamp": "2025-03-03 10:00"},
        {"timestamp": "2025-03-03T10:00:00"},
        {"timestamp": 1},
        {"unheard_of": 1},
    ],
)
def test_a_wrong_type_format_or_unknown_field_is_a_problem(api: Api, change: dict[str, Any]) -> None:
    assert len(problems(api, CLOCK | change)) == 1


def test_a_missing_field_a_wrong_kind_of_content_and_no_json_are_problems(api: Api) -> None:
    assert problems(api, {name: CLOCK[name] for name in CLOCK if name != "is_open"})
    assert api.problems("GET", "/v2/clock", 200, "text/html", json.dumps(CLOCK).encode())
    assert api.problems("GET", "/v2/clock", 200, JSON, b"{")
    assert api.problems("DELETE", "/v2/orders/a", 204, "", b"{}")


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, ERROR), (503, ERROR), (302, ERROR), (422, {"message": "no"}), (422, {"code": "42210000", "message": "no"})],
)
def test_an_undocumented_status_or_error_shape_is_a_problem(api: Api, status: int, body: dict[str, Any]) -> None:
    assert problems(api, body, status)
