"""What the venue tells by halves, and who else writes under our mark: judged by the exchange's own log."""

from typing import Any

import requests

from tests.bot import Bot, log, order_by_hand, second_session
from tradebot.errors import ExitCode

NO_PRICE = "- name: half\n  when: {request: activities}\n  what: {missing_field: price}\n"
COPY = "tb1.261117.FLOW.NVDA.OPEN.ABCDEFGHIJKLMNOP"


def of(bot: Bot, event: str) -> list[dict[str, Any]]:
    return [line for line in log(bot.url) if line["event"] == event]


def kinds(told: dict[str, Any]) -> set[str]:
    return {finding["kind"] for finding in told["findings"]}


def test_a_fill_that_could_not_be_read_is_ours_as_soon_as_it_can_whatever_filled_meanwhile(bot: Bot) -> None:
    second_session(bot)
    assert bot.says("trade-once").code == ExitCode.DONE
    (order,) = of(bot, "order_accepted")
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=NO_PRICE, timeout=60).status_code == 200
    bot.says("exchange", "tick", "2m")
    told = bot.json("reconcile")
    assert ({"unreadable", "missing_fill", "orphan"} <= kinds(told), told["plan"]) == (True, None)
    assert requests.delete(f"{bot.url}/exchange/v1/faults", timeout=60).status_code == 200
    other = "MSFT" if order["symbol"] != "MSFT" else "NVDA"
    order_by_hand(bot.url, other, "1", "typed by hand")
    bot.says("exchange", "tick", "10m")
    assert kinds(bot.json("reconcile")) == {"by_hand"}
    fills = {row["id"]: row["strategy"] for row in bot.json("fills")["fills"]}
    assert fills == {
        line["activity_id"]: "flow" if line["client_order_id"] == order["client_order_id"] else "foreign"
        for line in of(bot, "fill")
    }


def test_a_copy_whose_order_filled_between_two_looks_ends_all_entries(bot: Bot) -> None:
    order_by_hand(bot.url, "NVDA", "1", COPY)
    bot.says("exchange", "tick", "2m")
    before = len(of(bot, "order_accepted"))
    assert "unknown_order" in kinds(bot.json("reconcile"))
    assert bot.says("trade-once", "--force-slot").code == ExitCode.REFUSED
    assert COPY in bot.says("status").out
    assert len(of(bot, "order_accepted")) == before
