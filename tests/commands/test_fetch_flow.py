"""`tradebot fetch-flow`: each endpoint's counts and the age of its newest row; and asking about one thing by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot import Bot, made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot of two symbols."""
    with made(tmp_path_factory.mktemp("fetch") / "state", "--symbols", "AAPL,MSFT") as path:
        yield path


def test_each_endpoint_tells_how_old_its_newest_row_is(bot: Bot) -> None:
    bot.says("exchange", "tick", "next_open")
    bot.says("exchange", "tick", "1h")
    found = bot.json("fetch-flow")
    by_name = {row["endpoint"]: row for row in found["endpoints"]}
    assert set(by_name) == {"flow_alerts", "dark_pool", "market_tide", "greek_exposure", "iv_rank", "oi_change"}
    assert by_name["market_tide"]["newest"] == "2026-11-16T15:30:00Z"
    assert by_name["market_tide"]["newest_age_s"] == 0
    assert by_name["iv_rank"]["newest"] == "2026-11-13"
    assert by_name["iv_rank"]["newest_age_s"] is None
    assert found["quota_used_today"] == found["calls"] == 11
    assert found["quota_left_this_minute"] > 0


def test_what_is_named_is_asked_at_once_and_the_slot_is_left_alone(bot: Bot) -> None:
    bot.says("exchange", "tick", "5m")
    found = bot.json("fetch-flow", "--endpoint", "iv-rank", "--symbol", "msft")
    assert [(row["endpoint"], row["calls"]) for row in found["endpoints"]] == [("iv_rank", 1)]
    assert bot.json("fetch-flow", "--symbol", "AAPL")["calls"] == 5
    assert bot.json("fetch-flow", "--endpoint", "market_tide")["calls"] == 1
    own = bot.json("fetch-flow")
    assert (own["calls"], own["not_due"]) == (1, 10)


def test_a_person_sees_ages_and_quota(bot: Bot) -> None:
    shown = bot.shown("fetch-flow", "--endpoint", "oi_change", "--endpoint", "dark_pool")
    header, *_, quota = shown.splitlines()
    assert header == "Flow of session 2026-11-16 at 2026-11-16 10:35:00 ET: 4 calls, 1 new fact"
    assert "s old" in shown
    assert quota.startswith("Quota: ")


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--endpoint", "flow_alrts", "did you mean flow_alerts?"),
        ("--endpoint", "zzz", "one of flow_alerts, dark_pool"),
        ("--symbol", "AAPX", "did you mean AAPL"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_the_nearest(bot: Bot, option: str, name: str, words: str) -> None:
    said = bot.says("fetch-flow", option, name)
    assert said.code == 2
    assert words in said.err
