"""What the venue tells by halves, and who else writes under our mark: judged by the exchange's own log."""

from typing import Any

import requests

from tests.kit.bot.folder import Bot, log, order_by_hand
from tradebot.errors import ExitCode

NO_PRICE = "- name: half\n  when: {request: activities}\n  what: {missing_field: price}\n"
COPY = "tb1.261117.FLOW.NVDA.OPEN.ABCDEFGHIJKLMNOP"


def of(bot: Bot, event: str) -> list[dict[str, Any]]:
    return [line for line in log(bot.url) if line["event"] == event]


def kinds(told: dict[str, Any]) -> set[str]:
    return {finding["kind"] for finding in told["findings"]}


def test_a_fill_that_could_not_be_read_is_ours_as_soon_as_it_can_whatever_filled_meanwhile(shared_trader: Bot) -> None:
    assert shared_trader.says("trade-once").code == ExitCode.DONE
    (order,) = of(shared_trader, "order_accepted")
    assert requests.post(f"{shared_trader.url}/exchange/v1/faults", data=NO_PRICE, timeout=60).status_code == 200
    shared_trader.says("exchange", "tick", "2m")
    told = shared_trader.json("reconcile")
    assert ({"unreadable", "missing_fill", "orphan"} <= kinds(told), told["plan"]) == (True, None)
    assert requests.delete(f"{shared_trader.url}/exchange/v1/faults", timeout=60).status_code == 200
    other = "MSFT" if order["symbol"] != "MSFT" else "NVDA"
    order_by_hand(shared_trader.url, other, "1", "typed by hand")
    shared_trader.says("exchange", "tick", "10m")
    assert kinds(shared_trader.json("reconcile")) == {"by_hand"}
    fills = {row["id"]: row["strategy"] for row in shared_trader.json("fills")["fills"]}
    assert fills == {
        line["activity_id"]: "flow" if line["client_order_id"] == order["client_order_id"] else "foreign"
        for line in of(shared_trader, "fill")
    }


def test_a_copy_whose_order_filled_between_two_looks_ends_all_entries(shared_trader: Bot) -> None:
    order_by_hand(shared_trader.url, "NVDA", "1", COPY)
    shared_trader.says("exchange", "tick", "2m")
    before = len(of(shared_trader, "order_accepted"))
    assert "unknown_order" in kinds(shared_trader.json("reconcile"))
    assert shared_trader.says("trade-once", "--force-slot").code == ExitCode.REFUSED
    assert COPY in shared_trader.says("status").out
    assert len(of(shared_trader, "order_accepted")) == before
