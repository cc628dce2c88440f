"""`tradebot fetch-flow --plan`: what a session takes, what gives way, and what was used, without asking the source."""

from pathlib import Path

import pytest

from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot

BOT_FLAGS = ("--symbols", "AAPL,MSFT")
MANY = ", ".join(f"Q{first}{second}{third}" for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJ" for third in "ABCDE")


def test_the_plan_adds_up_and_asks_the_source_nothing(bot: Bot) -> None:
    bot.says("exchange", "tick", "next_open")
    before = bot.json("fetch-flow", "--plan")
    assert before == bot.json("fetch-flow", "--plan")
    assert before["used_today"] is None
    assert (before["symbols"], before["limited"], before["fits"], before["problems"]) == (2, False, True, [])
    assert (before["planned_per_minute"], before["planned_per_day"]) == (100.0, 13_500)
    kinds = {row["kind"]: row for row in before["kinds"]}
    assert sum(row["calls_a_session"] for row in kinds.values()) == before["calls"] == before["wanted_calls"]
    assert sum(row["calls"] for row in kinds.values()) == before["first_calls"]
    assert before["first_s"] == pytest.approx(before["first_calls"] * 60 / 100)
    alerts = kinds["flow_alerts"]
    assert (alerts["calls"], alerts["every_s"], alerts["calls_a_session"], alerts["outcome"]) == (
        2, 240, 156, "as configured",
    )  # fmt: skip
    fetched = bot.json("fetch-flow")
    assert fetched["calls"] == before["first_calls"]
    assert bot.json("fetch-flow", "--plan")["used_today"] == fetched["calls"]
    assert bot.json("fetch-flow", "--force-slot")["calls"] == fetched["calls"]
    bot.says("exchange", "tick", "close")
    # What came before the close is fetched once more, and then there is nothing left to ask.
    last = bot.json("fetch-flow")["calls"]
    assert last == kinds["flow_alerts"]["calls"] + kinds["dark_pool"]["calls"]
    bot.says("exchange", "tick", "30m")
    assert bot.json("fetch-flow")["calls"] == 0
    assert bot.json("fetch-flow", "--plan")["used_today"] == 2 * fetched["calls"] + last


def test_a_person_sees_a_line_for_each_kind_and_the_totals(bot: Bot) -> None:
    shown = bot.shown("fetch-flow", "--plan")
    assert shown.startswith("Fetch plan of a session: 2 symbols, ")
    assert "flow_alerts (core)" in shown
    assert "The timetable makes at most 13,500 of 15,000 calls a day." in shown
    assert "at 100 of 120 calls a minute" in shown
    assert "This plan is for a source with limits." in shown


def test_a_universe_that_does_not_fit_is_shown_although_no_other_verb_starts_with_it(bot: Bot, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"universe: [{MANY}]\nunusual_whales: {{daily_calls: 9000}}\n")
    told = bot.json("fetch-flow", "--plan", "--config", str(mine))
    assert (told["symbols"], told["fits"]) == (500, False)
    assert "207 symbols would fit" in told["problems"][0]
    assert told["calls"] <= told["planned_per_day"] == 8100 < told["wanted_calls"]
    shows(
        bot.says("fetch-flow", "--plan", "--config", str(mine)), 10, "gets too old", "It doesn't fit: universe has 500"
    )
