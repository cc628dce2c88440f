"""`tradebot score --explain`: one symbol's score taken apart; nothing is recorded."""

from itertools import pairwise

import pytest

from tests.bot import Bot, second_session


def test_contributions_add_up_to_the_score_that_score_itself_gives(bot: Bot) -> None:
    second_session(bot)
    scored = {row["symbol"]: row for row in bot.json("score")["rows"]}
    for symbol, row in scored.items():
        (found,) = bot.json("score", "--explain", symbol)["scores"]
        assert (found["score"], found["side"], found["coverage"]) == (row["score"], row["side"], row["coverage"])
        given = sum(part["contribution"] for part in found["components"] if part["contribution"] is not None)
        assert given == pytest.approx(row["score"])
        assert [part["value"] for part in found["components"]] == [part["value"] for part in row["components"]]
        assert all(part["formula"] and part["inputs"] for part in found["components"])


def test_a_person_sees_the_numbers_with_their_times(bot: Bot) -> None:
    shown = bot.shown("score", "--explain", "aapl")
    assert shown.startswith(
        "AAPL at 2026-11-17 10:00:00 ET; its flow was fetched at 2026-11-17 10:00:00 ET, 0 s earlier\nStrategy flow: "
    )
    assert "\nmarket_tide = (calls - puts) / (|calls| + |puts|)\n" in shown
    assert "USD    at 10:00:00 ET\n" in shown
    order = [shown.index(f"\n{name} = ") for name in ("flow", "dark_pool", "market_tide", "greek_exposure", "iv_rank")]
    assert all(before < after for before, after in pairwise(order))


def test_looking_records_nothing_and_claims_no_slot(bot: Bot) -> None:
    before = bot.json("status")["passes"]
    bot.says("exchange", "tick", "5m")
    assert bot.says("score", "--explain", "MSFT").code == 0
    assert bot.json("status")["passes"] == before


def test_another_symbol_is_refused_with_the_nearest(bot: Bot) -> None:
    said = bot.says("score", "--explain", "AAPX")
    assert said.code == 2
    assert "AAPX is not in the universe" in said.err
    assert "did you mean AAPL" in said.err
