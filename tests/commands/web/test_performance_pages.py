"""The pages of what was earned say what the verbs say, and read nothing but this bot's own backtests."""

import shutil

import pytest

from commands.web.performance_pages import ROWS
from tests.commands.trades.test_trades import booked
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot

__all__ = ["booked"]


@pytest.fixture
def kept(copy: Bot) -> Bot:
    """Return a bot with a folder beside its backtests that is none of them."""
    (copy.folder / "backtests" / "empty").mkdir(parents=True)
    shutil.copytree(copy.folder / "backtests", copy.folder.parent / "elsewhere")
    return copy


def documents(bot: Bot, page: str) -> list[object]:
    found = browser(site(bot.folder)).get(f"/api/pages/{page}")
    assert found.status_code == 200, found.text
    return [one["data"] for one in found.json()]


def test_trades_and_where_profit_came_from_are_the_verbs(traded: Bot) -> None:
    assert documents(traded, "trades") == [traded.json("trades"), traded.json("pnl", "--by", "strategy")]
    assert documents(traded, "trades?state=open&by=symbol") == [
        traded.json("trades", "--open"),
        traded.json("pnl", "--by", "symbol"),
    ]
    page = browser(site(traded.folder)).get("/trades").text
    for trade in traded.json("trades")["trades"][:ROWS]:
        assert trade["id"] in page


def test_report_and_signals_are_the_verbs(copy: Bot) -> None:
    assert documents(copy, "report") == [copy.json("report")]
    assert documents(copy, "signals") == [copy.json("signals")]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("/trades?from=nonsense", "is not a date"),
        ("/trades?from=2026-11-17&to=2026-11-16", "is after"),
        ("/report?from=2026-99-99", "is not a date"),
    ],
)
def test_what_makes_no_sense_takes_the_place_of_the_part(copy: Bot, asked: str, said: str) -> None:
    page = browser(site(copy.folder)).get(asked)
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert said in page.text


@pytest.mark.parametrize("name", ["../elsewhere", "..", "empty", "elsewhere", "%2e%2e%2felsewhere", "/etc", "<script>"])
def test_only_the_backtests_of_this_bot_are_read(kept: Bot, name: str) -> None:
    client = browser(site(kept.folder))
    shown = client.get("/backtests", params={f"run.{name}": "yes"})
    assert "this bot has no backtest" in shown.text
    assert "<script>" not in shown.text.replace('<script src="/static/', "")
    assert "None yet" in client.get("/backtests").text


@pytest.mark.campaign
def test_backtests_are_listed_reported_and_compared_as_their_verbs_do(copy: Bot) -> None:
    for seed in ("1", "2"):
        said = copy.says("backtest", "--sessions", "1", "--symbols", "AAPL", "--seed", seed, "--name", f"s{seed}")
        assert said.code == 0, said.err
    client = browser(site(copy.folder))
    assert "/backtest/s1" in client.get("/backtests").text
    for asked in ("backtests", "backtests?run.s2=yes&run.s1=yes"):
        (one,) = client.get(f"/api/pages/{asked}").json()
        assert one["data"] == copy.json("compare", "s2", "s1")
    assert "error:" in client.get("/backtests?run.s2=yes").text
    page = client.get("/backtest/s1").text
    assert 'role="alert"' not in page
    assert "1 session" in page


def test_older_trades_are_on_further_pages(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.web.performance_pages.ROWS", 1)
    (
        newest,
        *_,
    ) = reversed(traded.json("trades")["trades"])
    oldest, count = traded.json("trades")["trades"][0], len(traded.json("trades")["trades"])
    client = browser(site(traded.folder))
    first, last = client.get("/trades").text, client.get(f"/trades?from_row={count - 1}").text
    assert (newest["id"] in first, oldest["id"] in first) == (True, False)
    assert (newest["id"] in last, oldest["id"] in last) == (False, True)
    beyond = client.get("/trades?from_row=999999999").text
    assert (newest["id"] in beyond, oldest["id"] in beyond) == (False, True)
