"""The account as its owner sees and sets it: settings that take effect, activities of all kinds in pages, positions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from exchange.tests.kit.app import World, open_world

SETTINGS = {
    "disable_overnight_trading": False,
    "fractional_trading": True,
    "max_margin_multiplier": "2",
    "no_shorting": False,
    "ptp_no_exception_entry": False,
    "suspend_trade": False,
    "trade_confirm_email": "all",
}
CONFIGURATIONS = "/v2/account/configurations"


@pytest.fixture(scope="module")
def lived(new_folder: Callable[[], Path]) -> World:
    """Return an account to which many things have happened: fills, journals, a dividend, a split, an expiry."""
    world = open_world(new_folder(), to="open")
    world.tick(seconds=600)
    for path, body in (
        ("actions", {"type": "cash_dividend", "symbol": "AAPL", "rate": "0.5", "payable_date": "2025-03-04"}),
        ("actions", {"type": "forward_split", "symbol": "SPY", "new_rate": 3, "old_rate": 1}),
        ("journal", {"amount": 1000}),
        ("journal", {"symbol": "SPY", "qty": 4}),
        ("journal", {"symbol": "AAPL250303P00001000", "qty": 2}),
    ):
        assert world.ask("POST", f"/exchange/v1/{path}", body).status == 200
    assert world.order("AAPL", "buy", 10).status == 200
    assert world.order("SPY", "buy", 3).status == 200
    world.tick(seconds=60)
    world.tick(to="next_open")
    assert world.order("SPY", "sell", 5).status == 200
    world.tick(seconds=120)
    return world


def activities(world: World, query: str = "", kind: str = "") -> list[Any]:
    rows: list[Any] = world.get(f"/v2/account/activities{kind}{query}")
    return rows


def kinds(rows: list[Any]) -> list[str]:
    return [row["activity_type"] for row in rows]


def test_activities_of_all_kinds_come_the_newest_first(lived: World) -> None:
    rows = activities(lived)
    moments = [row.get("transaction_time") or row["created_at"] for row in rows]
    assert moments == sorted(moments, reverse=True)
    assert kinds(rows)[::-1] == ["JNLC", "JNLS", "JNLS", "FILL", "FILL", "OPEXP", *kinds(rows)[2::-1]]
    assert {"SPLIT", "DIV", "FILL"} == set(kinds(rows)[:3])
    assert activities(lived, "?direction=asc") == rows[::-1]


@pytest.mark.parametrize(
    ("query", "kind", "expected_kinds"),
    [
        ("?activity_types=DIV,SPLIT", "", {"DIV", "SPLIT"}),
        ("?activity_types=DIV&activity_types=SPLIT", "", {"DIV", "SPLIT"}),
        ("?category=trade_activity", "", {"FILL"}),
        ("?category=non_trade_activity", "", {"JNLC", "JNLS", "OPEXP", "DIV", "SPLIT"}),
        ("", "/JNLS", {"JNLS"}),
        ("", "/MISC", {"JNLC", "JNLS", "OPEXP", "SPLIT"}),
        ("", "/TRANS", set()),
        ("?date=2025-03-04&category=non_trade_activity", "", {"DIV", "SPLIT"}),
        ("?until=2025-03-03T14:40:00Z", "", set()),
        ("?after=2025-03-04", "", {"DIV", "SPLIT", "FILL"}),
    ],
)
def test_activities_are_filtered(lived: World, query: str, kind: str, expected_kinds: set[str]) -> None:
    assert set(kinds(activities(lived, query, kind))) == expected_kinds


def test_pages_of_activities_are_all_of_them_once(lived: World) -> None:
    for direction in ("asc", "desc"):
        whole, token, pages = activities(lived, f"?direction={direction}"), "", []
        while page := activities(lived, f"?direction={direction}&page_size=2{token}"):
            pages += page
            token = f"&page_token={quote(page[-1]['id'])}"
        assert pages == whole


def test_a_page_goes_on_after_an_activity_that_the_filter_leaves_out(lived: World) -> None:
    token = quote(next(row for row in activities(lived, "?direction=asc") if row["activity_type"] == "JNLC")["id"])
    fills = activities(lived, f"?direction=asc&page_token={token}", "/FILL")
    assert fills == activities(lived, "?direction=asc", "/FILL")


def test_settings_are_shown_and_changed_one_by_one(trading: World) -> None:
    assert trading.get(CONFIGURATIONS) == SETTINGS
    change = {"no_shorting": True, "max_margin_multiplier": "1", "trade_confirm_email": "none"}
    answer = trading.ask("PATCH", CONFIGURATIONS, change | {"dtbp_check": "both", "unheard_of": 1})
    assert (answer.status, answer.json) == (200, SETTINGS | change)
    assert trading.get(CONFIGURATIONS) == SETTINGS | change
    levels = trading.ask("PATCH", CONFIGURATIONS, {"max_options_trading_level": 2, "no_shorting": None}).json
    assert (levels["max_options_trading_level"], levels["no_shorting"]) == (2, True)


@pytest.mark.parametrize(
    ("change", "order"),
    [
        ({"no_shorting": True}, ("AAPL", "sell", 1)),
        ({"suspend_trade": True}, ("AAPL", "buy", 1)),
        ({"fractional_trading": False}, ("AAPL", "buy", "0.5")),
    ],
)
def test_settings_take_effect_on_the_next_order(trading: World, change: dict[str, Any], order: Any) -> None:
    assert trading.ask("PATCH", CONFIGURATIONS, change).status == 200
    assert trading.order(*order).status in (403, 422)
    assert trading.ask("PATCH", CONFIGURATIONS, {name: not value for name, value in change.items()}).status == 200
    assert trading.order(*order).status == 200


def test_a_position_is_found_by_symbol_and_by_asset_id(lived: World) -> None:
    by_symbol = lived.get("/v2/positions/AAPL")
    assert lived.get(f"/v2/positions/{by_symbol['asset_id']}") == by_symbol
    assert [position["symbol"] for position in lived.get("/v2/positions")] == ["AAPL", "SPY"]
