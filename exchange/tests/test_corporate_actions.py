"""What corporate actions and journal entries do to accounts, positions and orders, asked as a client asks."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.app import SYMBOLS, World, folders_of, open_world
from papervenue.market.spec import MarketSpec, default_symbols
from papervenue.process import create

THREE_DAYS = MarketSpec(symbols=SYMBOLS, sessions=3, start=date(2025, 3, 3))
EX_DATE = "2025-03-04"
FIRST_TRADE = "2025-03-04T09:00:00Z"
SPLIT = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1}
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def new_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], World]:
    make = folders_of(THREE_DAYS, tmp_path_factory)
    return lambda: open_world(make())


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    world = new_world()
    world.tick(to="open")
    return world


def announce(world: World, **body: object) -> Any:
    answer = world.ask("POST", "/exchange/v1/actions", body)
    assert answer.status == 200, answer
    return answer.json


def journal(world: World, **body: object) -> None:
    answer = world.ask("POST", "/exchange/v1/journal", body)
    assert answer.status == 200, answer


def quantity_by_symbol(world: World) -> dict[str, Decimal]:
    return {position["symbol"]: Decimal(position["qty"]) for position in world.get("/v2/positions")}


def cash(world: World) -> Decimal:
    return Decimal(world.get("/v2/account")["cash"])


def equity(world: World) -> Decimal:
    return Decimal(world.get("/v2/account")["equity"])


def activities(world: World, *kinds: str) -> list[dict[str, Any]]:
    """Return the activities of these kinds, all but fills when none is named, oldest first."""
    rows: list[dict[str, Any]] = world.get("/v2/account/activities?direction=asc")
    return [row for row in rows if row["activity_type"] in kinds or (not kinds and row["activity_type"] != "FILL")]


def order(world: World, **body: object) -> str:
    answer = world.ask("POST", "/v2/orders", {"symbol": "AAPL", "time_in_force": "gtc", **body})
    assert answer.status == 200, answer
    return str(answer.json["id"])


def status_of(world: World, order_id: str) -> str:
    return str(world.get(f"/v2/orders/{order_id}")["status"])


@given(
    qty=st.integers(-500, 500).filter(bool),
    fraction=st.sampled_from(["0", "0.5", "0.123456789"]),
    ratio=st.sampled_from([(2, 1), (3, 2), (7, 3), (1, 4), (3, 10)]),
)
@settings(max_examples=settings().max_examples // 10)
def test_a_split_leaves_equity_as_it_was(
    new_world: Callable[[], World], qty: int, fraction: str, ratio: tuple[int, int]
) -> None:
    world = new_world()
    shares = qty + Decimal(fraction)
    journal(world, symbol="AAPL", qty=str(shares), price="200")
    new, old = ratio
    announce(
        world, **SPLIT | {"type": f"{'forward' if new > old else 'reverse'}_split", "new_rate": new, "old_rate": old}
    )
    world.tick(to="2025-03-03T14:29:59Z")
    before = equity(world)
    world.tick(to="2025-03-03T14:30:00Z")
    # Each new share is worth a whole number of cents, and cash in lieu is paid in them.
    assert abs(equity(world) - before) <= abs(shares) * new / old * CENT / 2 + CENT
    after = quantity_by_symbol(world).get("AAPL", Decimal(0))
    assert abs(after) <= abs(shares * new / old)
    if shares == shares.to_integral_value():
        assert after == after.to_integral_value()
        assert abs(shares * new / old - after) < 1


def test_a_split_moves_quantity_and_average_price_and_pays_the_fraction_in_cash(world: World) -> None:
    journal(world, symbol="AAPL", qty=11, price="300")
    announce(world, **SPLIT | {"new_rate": 3, "old_rate": 2})
    before = cash(world)
    world.tick(to=FIRST_TRADE)
    (position,) = world.get("/v2/positions")
    assert (position["qty"], position["avg_entry_price"]) == ("16", "200")
    entries = activities(world, "SPLIT")
    assert [(row.get("qty"), row["activity_sub_type"]) for row in entries] == [("5", "FSPLIT"), (None, "FSPLIT")]
    assert Decimal(entries[1]["net_amount"]) == cash(world) - before
    assert abs(cash(world) - before - Decimal(position["current_price"]) / 2) < CENT


def test_a_dividend_is_paid_to_who_held_before_its_ex_date_and_by_who_was_short(world: World) -> None:
    journal(world, symbol="AAPL", qty=10)
    journal(world, symbol="SPY", qty=-4)
    for symbol in ("AAPL", "SPY"):
        announce(world, type="cash_dividend", symbol=symbol, rate="1.25", payable_date="2025-03-05")
    world.tick(to="2025-03-04T14:30:00Z")
    order(world, side="sell", type="market", qty=10, time_in_force="day")
    # Shares that come on the day itself get none.
    journal(world, symbol="AAPL", qty=7)
    world.tick(to="close")
    assert activities(world, "DIV") == []
    before = cash(world)
    world.tick(to="2025-03-05T09:00:00Z")
    paid = {row["symbol"]: row for row in activities(world, "DIV")}
    assert {symbol: row["net_amount"] for symbol, row in paid.items()} == {"AAPL": "12.5", "SPY": "-5"}
    assert (paid["AAPL"]["per_share_amount"], paid["AAPL"]["qty"]) == ("1.25", "10")
    assert cash(world) - before == Decimal("7.5")


def test_a_new_name_takes_position_and_bars_along_and_the_old_one_is_not_found(world: World) -> None:
    order(world, side="buy", type="market", qty=10, time_in_force="day")
    world.tick(to="close")
    working = order(world, side="buy", type="limit", qty=1, limit_price="100")
    announce(world, type="name_change", symbol="AAPL", new_symbol="PEAR")
    (before,) = world.get("/v2/positions")
    world.tick(to=FIRST_TRADE)
    (after,) = world.get("/v2/positions")
    assert (after["symbol"], after["qty"], after["avg_entry_price"]) == ("PEAR", "10", before["avg_entry_price"])
    assert [(row["symbol"], row["qty"]) for row in activities(world, "NC")] == [("AAPL", "-10"), ("PEAR", "10")]
    assert status_of(world, working) == "canceled"
    assert world.ask("GET", "/v2/assets/AAPL").status == 404
    assert world.ask("GET", "/v2/positions/AAPL").status == 404
    assert world.order("AAPL", "buy", 1).status == 422
    world.tick(to="open")
    assert world.ask("DELETE", "/v2/positions/PEAR").status == 200
    world.tick(seconds=120)
    assert quantity_by_symbol(world) == {}


def test_a_merger_pays_cash_and_ends_the_listing(world: World) -> None:
    journal(world, symbol="ZAAC", qty=100, price="20")
    announce(world, type="cash_merger", symbol="ZAAC", rate="33.5")
    before = cash(world)
    world.tick(to="2025-03-04T15:00:00Z")
    assert cash(world) - before == 3350
    assert [(row["qty"], row["net_amount"]) for row in activities(world, "MA")] == [("-100", "3350")]
    assert world.ask("GET", "/v2/assets/ZAAC").status == 404
    assert quantity_by_symbol(world) == {}


def test_an_action_announced_before_the_open_takes_effect_at_it(new_world: Callable[[], World]) -> None:
    world = new_world()
    assert announce(world, **SPLIT)["takes_effect_at"] == "2025-03-03T14:29:59.999999Z"
    world.tick(to="open")
    announced = announce(world, type="cash_dividend", symbol="AAPL", rate="1", date="2025-03-05")
    assert announced["takes_effect_at"] == "2025-03-05T08:59:59.999999Z"
    shown = world.get("/v1/corporate-actions?start=2025-03-01&end=2025-03-31")["corporate_actions"]
    assert {kind: len(rows) for kind, rows in shown.items()} == {"forward_splits": 1, "cash_dividends": 1}
    assert [row["type"] for row in world.get("/exchange/v1/actions")] == ["forward_split", "cash_dividend"]


def test_a_company_is_renamed_or_bought_once(world: World) -> None:
    announce(world, type="name_change", symbol="AAPL", new_symbol="PEAR")
    assert world.ask("POST", "/exchange/v1/actions", SPLIT).status == 422


def test_cash_and_shares_can_be_journaled_in_and_out(world: World) -> None:
    journal(world, amount="250.5")
    journal(world, symbol="AAPL", qty=10, price="100")
    journal(world, symbol="AAPL", qty=-4, price="90")
    assert (quantity_by_symbol(world), cash(world)) == ({"AAPL": Decimal(6)}, Decimal("100250.5"))
    journal(world, symbol="AAPL", qty=-10, price="80")
    (position,) = world.get("/v2/positions")
    assert (position["qty"], position["avg_entry_price"]) == ("-4", "80")
    journal(world, symbol="AAPL", qty=4)
    assert quantity_by_symbol(world) == {}
    assert [row["activity_type"] for row in activities(world)] == ["JNLC", *["JNLS"] * 4]


OPTIONS = [
    # contract, contracts, activities, then cash and shares that they bring
    ("AAPL250303C00200000", 2, ["OPEXC", "OPTRD"], -40_000, 200),
    ("AAPL250303C00900000", 2, ["OPEXP"], 0, 0),
    ("AAPL250303P00900000", 1, ["OPEXC", "OPTRD"], 90_000, -100),
    ("AAPL250303C00200000", -1, ["OPASN", "OPTRD"], 20_000, -100),
    ("AAPL250303P00900000", -2, ["OPASN", "OPTRD"], -180_000, 200),
    ("AAPL250303P00100000", -1, ["OPEXP"], 0, 0),
]


@pytest.mark.parametrize(("symbol", "qty", "kinds", "gained", "shares"), OPTIONS)
def test_contracts_end_at_the_close_of_their_last_day_by_moneyness(
    world: World, symbol: str, qty: int, kinds: list[str], gained: int, shares: int
) -> None:
    journal(world, symbol=symbol, qty=qty, price="1.5")
    before = cash(world)
    world.tick(to="2025-03-03T20:59:59Z")
    assert quantity_by_symbol(world) == {symbol: Decimal(qty)}
    world.tick(to="close")
    assert quantity_by_symbol(world) == ({"AAPL": Decimal(shares)} if shares else {})
    assert cash(world) - before == gained
    rows = activities(world)[1:]
    assert [row["activity_type"] for row in rows] == kinds
    assert (rows[0]["qty"], rows[0]["net_amount"]) == (str(-qty), "0")


def test_a_contract_is_valued_a_hundred_times_its_price_and_cannot_be_traded(world: World) -> None:
    before = equity(world)
    journal(world, symbol="AAPL250321C00200000", qty=3, price="30")
    (position,) = world.get("/v2/positions")
    assert (position["asset_class"], position["cost_basis"]) == ("us_option", "9000")
    value = Decimal(position["market_value"])
    assert value == 300 * Decimal(position["current_price"])
    assert equity(world) - before == value
    assert world.order("AAPL250321C00200000", "sell", 1).status == 403


@pytest.mark.parametrize(
    ("qty", "kind", "first"),
    [(3, "option_exercise", "OPEXC"), (-3, "option_assignment", "OPASN"), (3, "option_expiry", "OPEXP")],
)
def test_contracts_can_be_ended_before_their_day(world: World, qty: int, kind: str, first: str) -> None:
    journal(world, symbol="AAPL250321C00200000", qty=qty)
    announce(world, type=kind, symbol="AAPL250321C00200000", qty=1)
    assert abs(quantity_by_symbol(world)["AAPL250321C00200000"]) == 2
    assert activities(world)[1]["activity_type"] == first


@pytest.mark.parametrize(("qty", "kind"), [(1, "option_assignment"), (-1, "option_exercise")])
def test_who_holds_a_contract_exercises_and_who_is_short_is_assigned(world: World, qty: int, kind: str) -> None:
    journal(world, symbol="AAPL250321C00200000", qty=qty)
    assert world.ask("POST", "/exchange/v1/actions", {"type": kind, "symbol": "AAPL250321C00200000"}).status == 422


def test_contracts_on_a_stock_that_is_split_are_settled_in_cash_and_on_one_renamed_follow_its_name(
    world: World,
) -> None:
    journal(world, symbol="AAPL250321C00200000", qty=3)
    journal(world, symbol="SPY250321P00400000", qty=-2)
    announce(world, **SPLIT)
    announce(world, type="name_change", symbol="SPY", new_symbol="PEAR")
    world.tick(to="2025-03-04T08:59:59Z")
    before = equity(world)
    world.tick(to=FIRST_TRADE)
    assert equity(world) == before
    assert quantity_by_symbol(world) == {"PEAR250321P00400000": Decimal(-2)}
    assert [row["symbol"] for row in activities(world, "OPCA")] == [
        "AAPL250321C00200000",
        "SPY250321P00400000",
        "PEAR250321P00400000",
    ]


STEPS = st.one_of(
    st.tuples(st.just("journal"), st.sampled_from(SYMBOLS), st.integers(-40, 40).filter(bool)),
    st.tuples(st.just("option"), st.sampled_from(["C00200000", "P00300000"]), st.integers(-3, 3).filter(bool)),
    st.tuples(st.just("order"), st.sampled_from(SYMBOLS), st.integers(1, 30)),
    st.tuples(st.just("split"), st.sampled_from(SYMBOLS), st.sampled_from([(3, 2), (1, 7), (4, 1)])),
    st.tuples(st.just("dividend"), st.sampled_from(SYMBOLS), st.sampled_from(["0.37", "2"])),
    st.tuples(st.just("rename"), st.sampled_from(SYMBOLS), st.sampled_from(["PEAR", "PLUM"])),
    st.tuples(st.just("tick"), st.sampled_from(["open", "close", "next_open"]), st.none()),
)


def take(world: World, what: str, name: str, how_much: Any) -> None:
    """Take one step; what is refused, such as an order for a symbol that was renamed, changes nothing."""
    actions = "/exchange/v1/actions"
    if what == "tick":
        world.tick(to=name)
    elif what == "journal":
        world.ask("POST", "/exchange/v1/journal", {"symbol": name, "qty": how_much})
    elif what == "option":
        world.ask("POST", "/exchange/v1/journal", {"symbol": f"AAPL250304{name}", "qty": how_much})
    elif what == "order":
        world.order(name, "buy", how_much)
    elif what == "split":
        kind = "forward_split" if how_much[0] > how_much[1] else "reverse_split"
        world.ask("POST", actions, {"type": kind, "symbol": name, "new_rate": how_much[0], "old_rate": how_much[1]})
    elif what == "dividend":
        world.ask("POST", actions, {"type": "cash_dividend", "symbol": name, "rate": how_much})
    else:
        world.ask("POST", actions, {"type": "name_change", "symbol": name, "new_symbol": how_much})


@given(steps=st.lists(STEPS, min_size=3, max_size=14))
@settings(max_examples=settings().max_examples // 10, deadline=None)
def test_activities_add_up_to_cash_and_positions_and_a_replay_gives_the_same(
    new_world: Callable[[], World], steps: list[tuple[str, str, Any]]
) -> None:
    world = new_world()
    for step in steps:
        take(world, *step)
    world.tick(to="2025-03-05T22:00:00Z")
    money, shares = Decimal(100_000), dict[str, Decimal]()
    for row in world.get("/v2/account/activities"):
        fill = row["activity_type"] == "FILL"
        signed = Decimal(row.get("qty") or 0) * (-1 if row.get("side") == "sell" else 1)
        money += -signed * Decimal(row["price"]) if fill else Decimal(row["net_amount"])
        if row["activity_type"] != "DIV":
            shares[row["symbol"]] = shares.get(row["symbol"], Decimal(0)) + signed
    assert money == cash(world)
    assert {symbol: qty for symbol, qty in shares.items() if qty} == quantity_by_symbol(world)
    last = [event for event in world.events() if "cash" in event and "account" in event]
    assert not last or Decimal(last[-1]["cash"]) == cash(world)
    again = open_world(world.exchange.log.path.parent)
    for target in ("/v2/account", "/v2/positions", "/v2/account/activities", "/v2/orders?status=all", "/v2/assets"):
        assert json.dumps(again.get(target)) == json.dumps(world.get(target))


def test_a_market_with_actions_of_its_own_pays_its_dividends_and_replays_them(tmp_path: Path) -> None:
    create(tmp_path, replace(THREE_DAYS, symbols=default_symbols(12), sessions=6, corporate_actions=True))
    world = open_world(tmp_path)
    announced = world.get("/v1/corporate-actions?start=2025-03-01&end=2025-03-31")["corporate_actions"][
        "cash_dividends"
    ]
    for action in announced:
        journal(world, symbol=action["symbol"], qty=8)
    world.tick(to="2025-03-10T22:00:00Z")
    due = [action for action in announced if action["payable_date"] <= "2025-03-10"]
    assert due
    paid = {row["symbol"]: Decimal(row["net_amount"]) for row in activities(world, "DIV")}
    assert paid == {action["symbol"]: Decimal(str(action["rate"])) * 8 for action in due}
    assert open_world(tmp_path).events() == world.events()
