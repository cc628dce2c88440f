"""`tradebot score --diff`: what moved between two recorded passes, named by id, time or place."""

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot


@pytest.fixture
def bot(shared_trader: Bot) -> Bot:
    return shared_trader


@pytest.fixture(scope="module")
def ids() -> list[str]:
    return []


def test_diff_is_the_difference_between_two_recorded_passes(bot: Bot, ids: list[str]) -> None:
    refuses(bot.says("score", "--diff", "previous", "last"), 2, "previous names no recorded pass that scored anything")
    before = bot.json("score")
    bot.does("exchange tick 15m", "fetch-flow")
    after = bot.json("score")
    ids += [before["id"], after["id"]]
    found = bot.json("score", "--diff", *ids)
    assert [found["before"]["id"], found["after"]["id"]] == ids
    then, now = ({row["symbol"]: row for row in each["rows"]} for each in (before, after))
    assert {row["symbol"] for row in found["rows"]} == set(now)
    for row in found["rows"]:
        symbol = row["symbol"]
        assert (row["score_before"], row["score_after"]) == (then[symbol]["score"], now[symbol]["score"])
        assert row["change"] == pytest.approx(now[symbol]["score"] - then[symbol]["score"])
        assert sum(part["change"] for part in row["components"]) == pytest.approx(row["change"])
        values = {part["name"]: part["after"]["value"] for part in row["components"]}
        assert values == {part["name"]: part["value"] for part in now[symbol]["components"]}
    sizes = [abs(row["change"]) for row in found["rows"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "names", [("previous", "last"), ("2026-11-17 10:05", "last"), ("previous", "2026-11-17T15:15Z")]
)
def test_a_pass_is_named_by_its_place_or_by_a_time_after_it(bot: Bot, ids: list[str], names: tuple[str, str]) -> None:
    assert bot.json("score", "--diff", *names) == bot.json("score", "--diff", *ids)


def test_diff_shows_what_moved_and_why(bot: Bot, ids: list[str]) -> None:
    shown = bot.shown("score", "--diff", "previous", "last").splitlines()
    assert shown[0] == (
        f"From {ids[0]} (2026-11-17 10:00:00 ET) to {ids[1]} (2026-11-17 10:15:00 ET): 4 of 4 candidates moved"
    )
    assert shown[1].split() == ["symbol", "before", "after", "change", "side", "result", "mainly"]
    assert len(shown) == 6
    first = bot.json("score", "--diff", *ids)["rows"][0]["components"][0]
    assert f"  {first['name']} {first['change']:+.3f}" in shown[2]
    assert bot.shown("score", "--diff", "last", "last").endswith("0 of 4 candidates moved")


def test_an_unknown_pass_is_refused_with_the_newest_ones(bot: Bot, ids: list[str]) -> None:
    for name in ("score.2026-11-17.open+1m", "2020-01-01 10:00", "yesterday"):
        said = bot.says("score", "--diff", name, "last")
        assert said.code == 2
        assert "names no recorded pass that scored anything" in said.err
        assert ids[1] in said.err
    assert "a date and time such as '2026-11-17 10:15' work too" in said.err
    assert "such as '2026-11-17 15:15Z' work" in bot.says("score", "--utc", "--diff", "yesterday", "last").err
