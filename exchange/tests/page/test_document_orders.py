"""Orders on the page: the life of each is what the log tells of it."""

from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World
from exchange.tests.kit.random_commands import Commands
from papervenue.engine import account_lists
from papervenue.page import document

DATA = "/exchange/v1/page"


def lived(world: World, name: str) -> Any:
    """Return what the page shows of an order's life."""
    return world.get(f"{DATA}?order={name}")["life"]


def told(life: Any) -> list[tuple[str, str]]:
    return [(event["event"], event["status"]) for event in life["events"]]


def test_the_life_of_an_order_has_its_changes_and_fills_with_times_and_prices(trading: World) -> None:
    first = trading.order("SPY", "buy", 2, limit_price="1.00", client_order_id="first").json["id"]
    trading.tick(seconds=60)
    change = {"qty": "3", "limit_price": "900", "client_order_id": "second"}
    second = trading.ask("PATCH", f"/v2/orders/{first}", change).json["id"]
    trading.tick(seconds=120)
    life = lived(trading, second)
    assert life == lived(trading, "second")
    assert {name: life[name] for name in ("id", "client_order_id", "account", "symbol", "side")} == {
        "id": second,
        "client_order_id": "second",
        "account": "main",
        "symbol": "SPY",
        "side": "buy",
    }
    assert told(life)[:2] == [("accepted", "pending_new"), ("at the market", "new")]
    assert ("changed by a new order", "replaced") in told(life)
    assert told(life)[-1] == ("filled", "filled")
    fill, shown = trading.get("/v2/account/activities/FILL")[0], life["events"][-1]
    assert (shown["price"], shown["fill_qty"], shown["filled"]) == (fill["price"], "3", "3")
    assert (life["events"][0]["at"], life["events"][0]["limit"], shown["limit"]) == ("09:40:00", "1", "900")
    old = lived(trading, first)
    assert (old["replaced_by"], told(old)[-1]) == (second, ("changed by a new order", "replaced"))


def test_the_life_of_an_order_ends_with_its_expiry_or_its_cancel(trading: World) -> None:
    kept, gone = (trading.order("SPY", "buy", 2, limit_price="1.00").json["id"] for _ in range(2))
    trading.ask("DELETE", f"/v2/orders/{gone}")
    trading.tick(to="close")
    assert (told(lived(trading, gone))[-1], told(lived(trading, kept))[-1]) == (
        ("canceled", "canceled"),
        ("expired", "expired"),
    )
    assert lived(trading, kept)["events"][-1]["at"] == "16:00:00"


@pytest.mark.parametrize("seed", [3, 5])
def test_every_life_has_the_lines_that_the_log_has(trading: World, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(account_lists, "_BLOCK", 8)
    commands = Commands(trading, seed)
    for _ in range(60):
        commands.step()
    trading.clear_rules()
    accounts = list(trading.engine.accounts.values())
    lines = [line for line in trading.events() if "order_id" in line]
    compared = 0
    for order in (order for account in accounts for order in account.orders.values()):
        life = document.life(trading.engine, accounts, order.id)
        assert life is not None
        chain, last = {order.id}, order
        while last.replaces is not None:
            last = next(account for account in accounts if account.number == order.account).order(last.replaces)
            chain.add(last.id)
        expected = {line["seq"]: line for line in lines if line["order_id"] in chain}
        for event in life["events"]:
            line = expected.pop(event["line"])
            assert (event["status"], event["filled"]) == (line["status"], line["filled_qty"])
            assert event["price"] == line.get("price")
            compared += 1
        # The stream is silent about an order that the venue goes on showing as held.
        assert {line["event"] for line in expected.values()} <= {"order_new"}
    assert compared > 60


def test_a_long_life_keeps_its_newest_events(trading: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_EVENTS", 2)
    order = trading.order("SPY", "buy", 2, limit_price="1.00").json["id"]
    trading.ask("DELETE", f"/v2/orders/{order}")
    life = lived(trading, order)
    assert ([event["status"] for event in life["events"]], life["earlier_events"]) == (["new", "canceled"], 1)


def test_an_unknown_order_has_no_life_and_a_shared_name_is_the_chosen_account_s(trading: World) -> None:
    assert lived(trading, "nobody") is None
    assert trading.get(DATA)["life"] is None
    trading.ask("POST", "/exchange/v1/accounts", {"name": "alice"})
    alice = KEYS | {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    trading.order("SPY", "buy", 1, limit_price="1", client_order_id="same")
    trading.order("AAPL", "buy", 1, limit_price="1", client_order_id="same", headers=alice)
    assert lived(trading, "same")["symbol"] == "SPY"
    assert trading.get(f"{DATA}?account=alice&order=same")["life"]["symbol"] == "AAPL"
