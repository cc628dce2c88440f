"""`tradebot score --outcomes`: what followed is what the exchange's own bars say; looking changes no record."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot

HOUR = timedelta(hours=1)


@pytest.fixture
def bot(shared_trader: Bot) -> Bot:
    """Return a bot half an hour into its second session, that has scored nothing yet."""
    return shared_trader


def bars(bot: Bot, timeframe: str, start: str) -> dict[str, list[dict[str, Any]]]:
    params = {"symbols": "AAPL,AMZN,MSFT,NVDA", "timeframe": timeframe, "start": start, "limit": "10000"}
    answer = requests.get(f"{bot.url}/v2/stocks/bars", headers=KEYS, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["bars"])


def in_time(bar: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(bar["t"])


def test_outcomes_say_when_nothing_is_over_yet(bot: Bot) -> None:
    assert bot.says("score", "--outcomes").out.startswith("No recorded candidate can be measured at ")
    scored = bot.json("score")
    found = bot.json("score", "--outcomes")
    assert found["strategies"][0]["candidates"] + found["strategies"][0]["unmeasured"] == len(scored["rows"])
    assert "no return is complete yet" in bot.shown("score", "--outcomes")


def test_outcomes_follow_from_the_exchanges_bars(bot: Bot) -> None:
    traded = bot.json("trade-once")
    rows = {row["symbol"]: row for row in traded["rows"]}
    assert any(row["reason"] for row in rows.values()), "no gate refused anything"
    bot.says("exchange", "tick", "close")
    (flow,) = bot.json("score", "--outcomes")["strategies"]
    at = datetime.fromisoformat(traded["at"])
    hour, close = dict[str, float](), dict[str, float]()
    minutes, days = bars(bot, "1Min", traded["at"]), bars(bot, "1Day", traded["at"][:10])
    for symbol in rows:
        entry = next(bar for bar in minutes[symbol] if in_time(bar) >= at)
        exit_bar = [bar for bar in minutes[symbol] if in_time(bar) < in_time(entry) + HOUR][-1]
        hour[symbol] = exit_bar["c"] / entry["o"] - 1
        close[symbol] = days[symbol][-1]["c"] / entry["o"] - 1
    size = sum(abs(row["score"]) for row in rows.values())
    expected = [sum(row["score"] * each[symbol] for symbol, row in rows.items()) / size for each in (hour, close)]
    assert [each["mean"] for each in flow["score"][:2]] == pytest.approx(expected)
    assert [each["candidates"] for each in flow["score"]] == [len(rows), len(rows), 0, 0, 0, 0]
    signs = {symbol: 1 if row["side"] == "buy" else -1 for symbol, row in rows.items()}
    by_gate: dict[str, list[float]] = {}
    for symbol, row in rows.items():
        by_gate.setdefault(row["ended_at"] or "sent", []).append(signs[symbol] * close[symbol])
    means = {row["name"]: row["horizons"][1]["mean"] for row in flow["gates"]}
    assert means == pytest.approx({gate: sum(each) / len(each) for gate, each in by_gate.items()})
    refused = [each for gate, made in by_gate.items() if gate != "sent" for each in made]
    assert flow["refusals"]["trades"] == len(refused)
    assert flow["refusals"]["usd"] == pytest.approx(1000 * sum(refused))
    bot.says("reconcile")
    (worth,) = bot.json("report")["accounts"][0]["refusals"]
    assert (worth["trades"], worth["usd"]) == (len(refused), pytest.approx(flow["refusals"]["usd"]))


def test_a_person_reads_that_one_session_shows_nothing_and_what_refusals_would_have_made(bot: Bot) -> None:
    shown = bot.shown("score", "--outcomes")
    assert "gross, because SPY has no bars here, before costs." in shown
    assert "\nclose                 4         1" in shown
    assert "too few sessions: 1 of at least 8 sessions\n" in shown
    assert "with 1,000 USD in each, held to the close, they would have " in shown
    assert "can't show whether that was chance.\n" in shown
    for title in ("Buying, by decile", "Following one component", "Trades by the gate that refused them"):
        assert title in shown


def test_looking_records_nothing(bot: Bot) -> None:
    passes = bot.json("status")["passes"]
    assert bot.says("score", "--outcomes").code == 0
    assert bot.json("status")["passes"] == passes


def test_a_date_chooses_where_to_begin_and_an_unreadable_one_is_refused(bot: Bot) -> None:
    later = bot.json("score", "--outcomes", "--since", "2026-12-01")
    assert (later["strategies"], later["since"]) == ([], "2026-12-01")
    refuses(bot.says("score", "--outcomes", "--since", "soon"), 2, "soon is not a date")
    refuses(bot.says("score", "--since", "2026-11-16"), 2, "--since belongs to --outcomes")
    refuses(bot.says("score", "--outcomes", "--explain", "AAPL"), 2, "can't be combined")
