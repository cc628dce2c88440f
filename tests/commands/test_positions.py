"""`positions`, `orders` and `fills` against what the exchange has."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests

from commands.orders import join_orders
from commands.positions.report import closed_so_far, colored_gain, protection
from papervenue import process
from tests.kit.bot.folder import KEYS, Bot, order_by_hand, second_session
from tests.kit.rows import make_intent, make_order
from tests.kit.values import LISTED, NOW, fill, margin, trade
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.account import Booking, Entry
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.lifecycle import RestingPrice
from tradebot.model.order import Fee, Fill, OrderStatus, Reply, WriteOutcome, fee_id
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.catch_up import reassign
from tradebot.views.holdings import PositionProtection

AT = datetime(2026, 11, 16, 15, tzinfo=UTC)


def test_fills_show_a_given_back_fill_without_a_trade(copy: Bot) -> None:
    bought = Fill("20261116::1", "v1", "AAPL", Side.BUY, Decimal(10), Decimal(20), AT)
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills((OwnedFill(FOREIGN, bought), *reassign("flow", bought)), AT)
    found = copy.json("fills")
    assert [row["source"] for row in found["fills"]] == ["venue", "given back", "given back"]
    assert (found["bought_usd"], found["sold_usd"]) == ("200", "0")
    assert "bought for 200.00 USD, sold for 0.00 USD" in copy.says("fills").out


def test_fills_show_fees_and_say_which_are_not_known_yet(copy: Bot) -> None:
    fees = (Fee(None), Fee(Decimal("1.25")), Fee(Decimal("0.0002"), "BTC"), Fee(None))
    fills = [fill(n, quantity="2", at=AT, multiplier="50", fee=fee) for n, fee in enumerate(fees)]
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills(fills, AT)
        ledger.book(Booking((Entry(fee_id("fill-3"), "FEE", Decimal("-2.50"), "FEE", AT, "AAPL"),)), AT)
    found = copy.json("fills")
    assert [row["fee"] for row in found["fills"]] == [
        {"amount": None, "currency": "USD"},
        {"amount": "1.25", "currency": "USD"},
        {"amount": "0.0002", "currency": "BTC"},
        {"amount": "2.5", "currency": "USD"},
    ]
    assert [row["multiplier"] for row in found["fills"]] == ["50"] * 4
    assert (found["unknown_fees"], found["bought_usd"]) == (1, "40000")
    said = copy.says("fills").out
    assert all(text in said for text in ("not known yet", " 1.25", "0.0002 BTC", "Not known yet: the fees of 1 fill"))


def test_order_that_the_venue_made_smaller_is_shown_with_what_is_left_of_it() -> None:
    record = IntentRecord(replace(make_intent(), quantity=Decimal(54)), IntentState.ACKED, None, None, NOW)
    order = replace(make_order(), client_order_id=record.intent.client_order_id)
    for told, shown in ((Decimal(24), "24"), (Decimal("54.0"), "54"), (None, "54")):
        (row,), _ = join_orders([record], [replace(order, quantity=told)])
        assert str(row.quantity) == shown


def test_order_whose_prices_a_corporate_action_moved_is_shown_as_it_rests() -> None:
    sent = replace(make_intent(), limit_price=Decimal("166.31"))
    record = IntentRecord(sent, IntentState.ACKED, None, None, NOW)
    order = replace(make_order(), client_order_id=sent.client_order_id, limit_price=Decimal("110.87"))
    for told, shown in ((Decimal("110.87"), "110.87"), (Decimal("166.310"), "166.31"), (None, "166.31")):
        (row,), _ = join_orders([record], [replace(order, limit_price=told)])
        assert (str(row.limit_price), row.stop_price) == (shown, None)
    stopped = replace(sent, limit_price=None, stop_price=Decimal(90))
    order = replace(order, limit_price=None, stop_price=Decimal(60))
    (row,), _ = join_orders([replace(record, intent=stopped)], [order])
    assert (row.limit_price, row.stop_price) == (None, Decimal(60))


@pytest.fixture
def traded(bot: Bot) -> Bot:
    """Return the module's bot with positions whose prices a pass of exits has seen, and one foreign position."""
    if not bot.json("fills")["known"]:
        second_session(bot)
        assert bot.json("trade-once")["orders"] > 0
        order_by_hand(bot.url, "MSFT", "1", "by-hand-1")
        bot.says("exchange", "tick", "2m")
        bot.says("evaluate-exits")
        # The reply to an order shows it before it works.
        bot.says("reconcile")
    return bot


def test_before_anything_was_traded_each_says_how_little_there_is(bot: Bot) -> None:
    assert bot.shown("positions") == (
        "0 positions at 2026-11-16 09:00:00 ET, from 0 fills in the books; the broker was not queried"
    )
    assert bot.shown("orders") == "0 orders that may still fill; 0 in the books; the broker was not queried"
    assert bot.shown("fills") == "0 of 0 fills; the broker was not queried"


def test_positions_are_those_of_the_exchange_foreign_ones_told_apart(traded: Bot) -> None:
    found = traded.json("positions")
    theirs = requests.get(f"{traded.url}/v2/positions", headers=KEYS, timeout=60).json()
    ours: dict[str, Decimal] = {}
    for held in found["positions"]:
        ours[held["symbol"]] = ours.get(held["symbol"], Decimal(0)) + Decimal(held["quantity"])
    assert ours == {row["symbol"]: Decimal(row["qty"]) for row in theirs}
    (foreign,) = [held for held in found["positions"] if held["strategy"] == "foreign"]
    assert (foreign["symbol"], foreign["stops"], foreign["price"]) == ("MSFT", [], None)
    shown = " ".join(traded.shown("positions").split())
    assert "MSFT 1 was not opened by the bot, which leaves it alone" in shown


def test_each_position_tells_its_way_to_every_exit_rule(traded: Bot) -> None:
    rules = traded.json("config", "show", "exits")["values"]
    loss = next(Decimal(row["value"]) for row in rules if row["key"] == "exits.stop_loss_fraction")
    for held in traded.json("positions")["positions"]:
        if held["strategy"] == "foreign":
            continue
        stops = {stop["rule"]: stop for stop in held["stops"]}
        assert set(stops) == {rule.reason for rule in LISTED}
        side = 1 if Decimal(held["quantity"]) > 0 else -1
        assert Decimal(stops["STOP_LOSS"]["price"]) == Decimal(held["average_price"]) * (1 - side * loss)
        price = Decimal(held["price"])
        assert Decimal(held["unrealized_usd"]) == Decimal(held["quantity"]) * price - Decimal(held["cost_usd"])
        assert stops["TIME_EXIT"]["left_s"] == 14_400 - held["age_s"]
        armed = [stop for stop in stops.values() if stop["armed"] and stop["distance"] is not None]
        assert held["nearest"] == min(armed, key=lambda stop: Decimal(stop["distance"]))["rule"]


def test_positions_say_what_they_earned_before_the_table(traded: Bot) -> None:
    first, second, third, *_ = traded.says("positions").out.splitlines()
    assert " positions at " in first or " position at " in first
    earned = Decimal(traded.json("positions")["unrealized_usd"])
    assert second.startswith(f"Unrealized {earned:+,.2f} USD on ")
    assert third.startswith("symbol ")


def test_every_order_has_its_fate_and_those_that_are_done_need_all(traded: Bot) -> None:
    every = traded.json("orders", "--all")
    theirs = requests.get(f"{traded.url}/v2/orders", params={"status": "all"}, headers=KEYS, timeout=60).json()
    assert {row["client_order_id"]: row["status"] for row in every["orders"] if row["strategy"] != "foreign"} == {
        row["client_order_id"]: row["status"] for row in theirs if row["client_order_id"] != "by-hand-1"
    }
    working = [row for row in every["orders"] if row["status"] == "new"]
    assert traded.json("orders")["orders"] == working
    last = traded.json("orders", "--all", "--last", "1")
    assert (last["orders"], last["left_out"]) == (every["orders"][-1:], every["known"] - 1)


def test_fills_sum_to_the_cash_of_the_exchange(traded: Bot) -> None:
    found = traded.json("fills")
    cash = Decimal(requests.get(f"{traded.url}/v2/account", headers=KEYS, timeout=60).json()["cash"])
    assert cash == 100_000 + sum(Decimal(row["cash_usd"]) for row in found["fills"])
    assert Decimal(found["sold_usd"]) - Decimal(found["bought_usd"]) == cash - 100_000
    assert {row["strategy"] for row in found["fills"]} == {"flow", "foreign"}


@pytest.mark.parametrize(("span", "part"), [("session", 1), ("1s", 0), ("1h", 1)])
def test_fills_of_a_span_end_at_the_last_record(traded: Bot, span: str, part: int) -> None:
    found = traded.json("fills", "--since", span)
    assert len(found["fills"]) == part * found["known"]
    assert {row["symbol"] for row in traded.json("fills", "MSFT")["fills"]} == {"MSFT"}
    assert traded.says("fills", "--since", "soon").code == 2


def test_the_books_are_told_without_an_exchange_and_none_is_started(traded: Bot) -> None:
    before = [traded.shown(verb) for verb in ("positions", "orders", "fills")]
    process.stop(traded.folder / "exchange")
    assert [traded.shown(verb) for verb in ("positions", "orders", "fills")] == before
    assert process.running_endpoint(traded.folder / "exchange") is None
    assert re.search(r"^\d+ positions? at 2026-11-17 10:02:00 ET", before[0])


def test_only_an_account_with_margin_is_shown_any(traded: Bot) -> None:
    """A pass of exits, as it would be recorded for such an account, is written beside the others."""
    assert not {"margin"} & {*traded.json("positions"), *traded.json("status")}
    with closing(SqliteFacts(traded.folder, MemoryEvents(), NOW)) as facts:
        last = facts.cycles(job=Job.EVALUATE_EXITS, last=1)[-1]
        seen = margin({"AAPL": "2000"}, equity=Decimal(50_000)).as_observed(Decimal(50_000))
        facts.record(
            replace(last, id="margined", at=last.at + timedelta(seconds=1), margin=seen, equity=Decimal(50_000))
        )
    for verb in ("positions", "status"):
        found = traded.json(verb)["margin"]
        assert (found["initial_usd"], found["maintenance_fraction"]) == ("40000", "0.4")
        assert [row["symbol"] for row in found["liquidations"]] == ["AAPL"]
        shown = " ".join(traded.shown(verb).split())
        assert "Margin 40,000.00 USD (80.00% of equity) in use, 20,000.00 USD (40.00% of equity) to keep" in shown
        assert "liquidated by the broker: AAPL at 83.33, 16.67% away" in shown


def test_prices_and_margin_stay_while_the_venue_does_not_answer(traded: Bot) -> None:
    before = traded.json("positions")
    with closing(SqliteFacts(traded.folder, MemoryEvents(), NOW)) as facts:
        last = facts.cycles(job=Job.EVALUATE_EXITS, last=1)[-1]
        refused = Decision(Gate.SESSION, Verdict.UNKNOWN, Reason.VENUE_UNREACHABLE)
        for number in (1, 2):
            at = last.at + timedelta(seconds=number)
            facts.record(CycleRecord(f"away{number}", last.job, last.session, "away", at, last.mode, (), refused))
    after = traded.json("positions")
    assert [row["price"] for row in after["positions"]] == [row["price"] for row in before["positions"]]
    assert (after["unrealized_usd"], after.get("margin")) == (before["unrealized_usd"], before.get("margin"))
    assert "No price is recorded" not in traded.shown("positions")


@pytest.mark.parametrize(
    ("prices", "said"), [((8, 7, 9), "stop 8.00 and 7.00 and 9.00"), ((8, 7, 9, 6), "stop 6.00 to 9.00 in 4 orders")]
)
def test_many_stops_of_one_position_are_shown_by_their_ends(prices: tuple[int, ...], said: str) -> None:
    resting = tuple(RestingPrice(Decimal(price), Decimal(1), is_stop=True) for price in prices)
    assert protection(PositionProtection(Decimal(4), resting, None, None, None), {}, "AAPL") == said


def test_a_close_by_hand_that_is_not_finished_is_named_with_what_it_left(traded: Bot) -> None:
    """The last order for it was canceled unfilled, as a pass of exits does with one that is stale."""
    held = next(row for row in traded.json("positions")["positions"] if row["strategy"] == "flow")
    assert "unfinished" not in held
    assert judged(traded)["state"] == "OK"
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        entry = next(one.intent for one in ledger.intents() if one.intent.holding == ("flow", held["symbol"]))
        at = entry.at + timedelta(minutes=1)
        side = Side.SELL if entry.side is Side.BUY else Side.BUY
        key = replace(entry.key, side=side, role=Purpose.CLOSE, leg=90)
        close = replace(
            entry, key=key, client_order_id=key.client_order_id(), purpose=Purpose.CLOSE, side=side, at=at,
            why="closed_by_hand",
        )  # fmt: skip
        order = replace(
            make_order("stale-1", OrderStatus.CANCELED, at), client_order_id=close.client_order_id,
            symbol=held["symbol"], side=side, quantity=close.quantity,
        )  # fmt: skip
        ledger.record_intent(close, ())
        ledger.record_outcome(close.client_order_id, Reply(WriteOutcome.ACCEPTED, order), at)
        cancel = replace(close, operation=Operation.CANCEL, client_order_id="tb1.cancel", target_venue_id="stale-1")
        ledger.record_intent(cancel, ())
        ledger.record_outcome("tb1.cancel", Reply(WriteOutcome.ACCEPTED), at)
    rows = {row["symbol"]: row for row in traded.json("positions")["positions"] if "unfinished" in row}
    assert (list(rows), rows[held["symbol"]]["unfinished"]["why"]) == ([held["symbol"]], "by_hand")
    shown = " ".join(traded.shown("positions").split())
    assert f"isn't finished: {Decimal(held['quantity']):,f} still open. The next exit pass continues it" in shown
    assert f"{held['symbol']}: a close by hand, last sent at 2026-11-17 10:" in shown
    assert judged(traded)["state"] == "DEGRADED"
    assert f"{held['symbol']}: a close by hand isn't finished" in judged(traded)["found"]


def judged(bot: Bot) -> dict[str, str]:
    """Return how health judges orders."""
    return next(one for one in bot.json("health")["judgments"] if one["subject"] == "orders")


def test_a_gain_of_nought_has_no_minus() -> None:
    gains = [colored_gain(Decimal(gain)) for gain in ("-0.00001", "-0.0001", "0.1")]
    assert gains == ["[green]+0.00%[/green]", "[red]-0.01%[/red]", "[green]+10.00%[/green]"]
    assert colored_gain(None) == ""


@pytest.mark.parametrize("side", Side)
def test_closed_part_of_a_position_is_shown_at_the_entry_price_of_its_own_shares(side: Side) -> None:
    entered, closed = trade(side), Decimal(4)
    gain = side.sign * closed * Decimal(11)
    of_its_first = replace(entered, closed_quantity=closed, realized_before_fees_usd=gain, entry_price=Decimal(95))
    assert closed_so_far(of_its_first, Decimal(101)) == (
        f"AAPL 4 of 10 are closed: from 90.00 to 101.00, {gain:+,.2f} USD before fees"
    )
