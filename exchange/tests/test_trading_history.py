"""Portfolio history: what an account was worth, in windows, measured from the right base."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.times import NEW_YORK

HISTORY = "/v2/account/portfolio/history"


@pytest.fixture(scope="module")
def lived(new_folder: Callable[[], Path]) -> tuple[World, dict[int, float]]:
    """Return an account with trades on two days and cash that came, and its equity as the account showed it."""
    world, shown = open_world(new_folder()), {}

    def pass_minutes(minutes: int) -> None:
        for _ in range(minutes):
            world.tick(seconds=60)
            moment = datetime.fromisoformat(world.get("/v2/clock")["timestamp"])
            shown[int(moment.timestamp())] = float(world.get("/v2/account")["equity"])

    world.tick(to="open")
    pass_minutes(10)
    assert world.order("AAPL", "buy", 40).status == 200
    assert world.order("SPY", "sell", 15).status == 200
    pass_minutes(10)
    split = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1}
    assert world.ask("POST", "/exchange/v1/actions", split).status == 200
    world.tick(to="close")
    pass_minutes(1)
    world.tick(to="next_open")
    assert world.ask("POST", "/exchange/v1/journal", {"amount": "2500"}).status == 200
    pass_minutes(5)
    assert world.order("AAPL", "sell", 30).status == 200
    pass_minutes(10)
    return world, shown


def get_history(world: World, query: str = "") -> Any:
    return world.get(f"{HISTORY}?{query}")


def at(stamp: int) -> str:
    return f"{datetime.fromtimestamp(stamp, NEW_YORK):%d %H:%M}"


def test_each_value_is_the_equity_that_the_account_showed_at_the_end_of_its_window(
    lived: tuple[World, dict[int, float]],
) -> None:
    world, shown = lived
    history = get_history(world, "period=2D&timeframe=1Min")
    by_end = {stamp + 60: value for stamp, value in zip(history["timestamp"], history["equity"], strict=True)}
    compared = [(by_end[end], value) for end, value in shown.items() if end in by_end]
    assert len(compared) > 30
    assert all(abs(ours - theirs) < 0.006 for ours, theirs in compared)


def test_a_session_in_steps_ends_with_its_close(lived: tuple[World, dict[int, float]]) -> None:
    history = get_history(lived[0], "timeframe=15Min&start=2025-03-03&end=2025-03-03")
    assert [at(stamp) for stamp in history["timestamp"][::26]] == ["03 09:30", "03 16:00"]
    assert (len(history["timestamp"]), history["timeframe"], "base_value_asof" in history) == (27, "15Min", False)
    # A new account has no close before its first day: the first value is the base.
    assert (history["base_value"], history["profit_loss"][0]) == (history["equity"][0], 0)


def test_profit_restarts_each_day_unless_no_reset_is_asked(lived: tuple[World, dict[int, float]]) -> None:
    days = get_history(lived[0], "period=2D&timeframe=1D")
    assert [at(stamp) for stamp in days["timestamp"]] == ["03 20:00", "04 09:45"]
    close = days["equity"][0]
    daily = get_history(lived[0], "period=2D&timeframe=1H")
    whole = get_history(lived[0], "period=2D&timeframe=1H&pnl_reset=no_reset")
    assert daily["profit_loss"][-1] == pytest.approx(daily["equity"][-1] - close - 2500, abs=0.011)
    assert whole["profit_loss"][-1] == pytest.approx(whole["equity"][-1] - whole["base_value"] - 2500, abs=0.011)
    assert days["profit_loss"][1] == pytest.approx(days["equity"][1] - close - 2500, abs=0.011)
    assert days["profit_loss_pct"][1] == pytest.approx(days["profit_loss"][1] / close, abs=1e-4)


def test_a_day_that_is_not_over_ends_now_with_what_the_account_is_worth_now(world: World) -> None:
    world.tick(to="open")
    assert world.order("AAPL", "buy", 40).status == 200
    steps: list[dict[str, Any]] = [{"seconds": 725}, {"to": "close"}, {"seconds": 3605}, {"seconds": 14400}]
    for step, last in zip(steps, ("", "", "", "20:00"), strict=True):
        now = datetime.fromisoformat(world.tick(**step)["now"])
        history = get_history(world, "period=1D&timeframe=1D")
        assert len(history["timestamp"]) == 1
        assert at(history["timestamp"][0])[3:] == (last or f"{now.astimezone(NEW_YORK):%H:%M}")
        if not last:
            assert history["timestamp"] == [int(now.timestamp())]
            assert history["equity"][0] == pytest.approx(float(world.get("/v2/account")["equity"]), abs=0.006)


def test_what_an_owner_puts_in_or_takes_out_is_no_profit(world: World) -> None:
    world.tick(to="next_open")
    world.tick(to="next_open")
    for body in (
        {"amount": "5000"},
        {"symbol": "AAPL", "qty": 30, "price": "1"},
        {"symbol": "SPY", "qty": -4},
        {"symbol": "SPY250321C00100000", "qty": 2},
        {"amount": "-700.5"},
    ):
        assert world.ask("POST", "/exchange/v1/journal", body).status == 200
    # Nothing has moved since: whatever was put in, no window shows a gain.
    for query in ("period=2D&timeframe=1D", "period=1D&timeframe=1H", "timeframe=1Min&pnl_reset=no_reset"):
        history = get_history(world, query)
        assert history["equity"][-1] > 104_000
        assert (history["profit_loss"][-1], history["profit_loss_pct"][-1]) == (0, 0)


def test_the_last_day_alone_is_measured_from_the_close_before_it(lived: tuple[World, dict[int, float]]) -> None:
    history = get_history(lived[0], "period=1D")
    assert (history["timeframe"], history["base_value_asof"]) == ("1Min", "2025-03-03")
    assert history["base_value"] == float(lived[0].get("/v2/account")["last_equity"])
    assert [at(stamp) for stamp in history["timestamp"][:: len(history["timestamp"]) - 1]] == ["04 09:30", "04 09:45"]


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("intraday_reporting=extended_hours", "03 09:00", "03 20:00"),
        ("extended_hours=true", "03 09:00", "03 20:00"),
        ("intraday_reporting=continuous", "03 09:00", "03 23:55"),
        ("intraday_reporting=market_hours", "03 09:30", "03 16:00"),
    ],
)
def test_reporting_decides_which_hours_are_shown(
    lived: tuple[World, dict[int, float]], query: str, first: str, last: str
) -> None:
    stamps = get_history(lived[0], f"timeframe=5Min&start=2025-03-03&end=2025-03-03&{query}")["timestamp"]
    assert (at(stamps[0]), at(stamps[-1])) == (first, last)


def test_cash_that_came_is_shown_by_kind_where_it_is_asked_for(lived: tuple[World, dict[int, float]]) -> None:
    assert "cashflow" not in get_history(lived[0], "timeframe=1D")
    assert "cashflow" not in get_history(lived[0], "timeframe=1D&cashflow_types=NONE")
    assert get_history(lived[0], "timeframe=1D&cashflow_types=ALL")["cashflow"] == {"JNLC": [0, 2500]}
    listed = get_history(lived[0], "timeframe=1D&cashflow_types=JNLC,CSD")["cashflow"]
    assert listed == {"JNLC": [0, 2500], "CSD": [0, 0]}


def test_longer_spans_have_longer_steps(world: World) -> None:
    frames = {period: get_history(world, f"period={period}")["timeframe"] for period in ("1D", "6D", "1W", "1M", "1A")}
    assert frames == {"1D": "1Min", "6D": "1Min", "1W": "15Min", "1M": "1D", "1A": "1D"}


def test_before_the_first_session_there_is_nothing_to_show_but_what_the_account_is_worth(world: World) -> None:
    history = get_history(world, "end=2025-03-01")
    assert (history["timestamp"], history["base_value"]) == ([], 100_000)
