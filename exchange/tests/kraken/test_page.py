"""The web page of an exchange whose venue is Kraken's: contracts, orders changed in place, and no session's end."""

from exchange.tests.kit.kraken import XBT, KrakenExchange

PAGE = "/exchange/v1/page"


def test_life_of_an_order_that_was_changed_in_place_and_its_fill(desk: KrakenExchange) -> None:
    order = desk.send("lmt", limitPrice=80_000, cliOrdId="mine")["order_id"]
    desk.post("editorder", orderId=order, size="0.2", limitPrice=81_000)
    desk.world.tick(seconds=60)
    desk.post("cancelorder", order_id=order)
    life = desk.world.get(f"{PAGE}?order=mine")["life"]
    assert [(event["event"], event["qty"], event["limit"]) for event in life["events"]] == [
        ("accepted", "0.1", "80000"),
        ("at the market", "0.1", "80000"),
        ("changed", "0.2", "81000"),
        ("canceled", "0.2", "81000"),
    ]
    assert (life["id"], life["symbol"]) == (order, XBT)


def test_tape_has_fills_and_moves_of_contracts(desk: KrakenExchange) -> None:
    desk.send("mkt")
    desk.world.tick(seconds=120)
    tape = desk.world.get(PAGE)["tape"]
    assert [(row["symbol"], row["qty"]) for row in tape if row["kind"] == "fill"] == [(XBT, "0.1")]
    assert [row for row in tape if row["kind"] == "move"]
