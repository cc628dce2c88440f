"""Lists that lack something, once or for long: nothing of ours becomes a stranger's for it, and nothing is given up."""

from decimal import Decimal
from pathlib import Path

import pytest

from commands import status
from commands.adopt import run as adopt
from commands.evaluate_exits import run as evaluate_exits
from commands.positions import report as positions
from commands.reconcile import run as reconcile
from tests.faults.listed.test_books_of_an_earlier_day import buys_and_fills, confirmed, kinds, lost, opened, put_back
from tests.faults.listed.test_lying_reads import closed, leave
from tests.kit.bot.trader import Said, Trader
from tradebot.app.wiring import App

NEAR = True

MISSING = "missing_rows"
ORDERS, POSITIONS, POSITION = "GET /v2/orders", "GET /v2/positions", "GET /v2/positions/*"


def planned(trader: Trader) -> list[str | None]:
    """Compare, and return the plan that is offered."""
    plans: list[str | None] = []

    def compares(app: App) -> int:
        report = reconcile.run(app, by="test")
        plans.append(report.data.plan)
        return int(report.exit_code)

    trader.does(compares)
    return plans


def notes_as_known(trader: Trader, symbol: str) -> Said:
    """Let a person note a position as known and left alone."""
    return trader.does(lambda app: int(adopt.run(app, symbol, take_over=False, by="test", confirmed=None).exit_code))


def screens(trader: Trader) -> list[int]:
    """Return how the screens that show positions end."""
    shown = (lambda app: int(positions.run(app).exit_code)), (lambda app: int(status.run(app).exit_code))
    return [trader.does(screen).code for screen in shown]


def test_a_list_of_orders_that_lacks_ours_once_makes_our_position_no_strangers(trader: Trader, tmp_path: Path) -> None:
    trader.trouble(MISSING, request=ORDERS, symbol="AAPL")
    lost(trader, tmp_path)
    trader.calm()
    before = trader.fired()
    trader.trouble(MISSING, request=ORDERS, symbol="AAPL", nth=1)
    assert kinds(trader) == {"AAPL": "forgotten"}
    assert trader.fired() == before + 1


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_position_noted_as_known_is_ours_again_when_its_orders_are_told(
    trader: Trader, tmp_path: Path, later: bool
) -> None:
    trader.trouble(MISSING, request=ORDERS, symbol="AAPL")
    lost(trader, tmp_path)
    assert kinds(trader) == {"AAPL": "foreign_position"}
    bought = Decimal(trader.told().fills[-1]["position"])
    assert confirmed(trader).code == 0
    assert (kinds(trader), trader.held()) == ({}, {})
    trader.calm()
    if later:
        trader.stage.tick(seconds=60)
    assert kinds(trader) == {"AAPL": "forgotten"}
    trader.buys("MSFT", again=True)
    assert opened(trader) == ["AAPL"], "entries wait for a person"
    assert confirmed(trader).code == 0
    assert (kinds(trader), trader.held()) == ({}, {"AAPL": bought})
    leave(trader)
    trader.exits()
    assert [name.split(".")[3] for name in closed(trader)] == ["AAPL"]


def test_an_order_that_is_denied_until_its_position_was_adopted_as_a_strangers_is_ours_when_it_is_told(
    trader: Trader, tmp_path: Path
) -> None:
    for request in ("GET /v2/orders/*", ORDERS):
        trader.trouble("not_found" if "*" in request else MISSING, request=request)
    put_back(trader, tmp_path)
    assert kinds(trader) == {"AAPL": "by_hand"}
    assert notes_as_known(trader, "AAPL").code == 0
    bought = Decimal(trader.told().fills[-1]["position"])
    assert (kinds(trader), trader.held()) == ({}, {})
    trader.calm()
    trader.stage.tick(seconds=60)
    assert kinds(trader) == {"AAPL": "forgotten"}
    assert confirmed(trader).code == 0
    assert (kinds(trader), trader.held()) == ({}, {"AAPL": bought})


@pytest.mark.parametrize("rows", [{"missing_rows": None}, {"missing_rows": None, "symbol": "AAPL"}, "opposite_side"])
def test_a_position_that_only_the_list_lacks_is_never_given_up(trader: Trader, rows: object) -> None:
    buys_and_fills(trader, "AAPL")
    held = trader.held()
    trader.trouble(rows, request=POSITIONS)
    assert planned(trader) == [None]
    assert kinds(trader) == {"AAPL": "view_unsteady"}
    trader.buys("MSFT", again=True)
    assert opened(trader) == ["AAPL"]
    trader.calm()
    assert (kinds(trader), trader.held()) == ({}, held)


def test_a_list_that_was_wrong_about_one_position_is_believed_of_no_other(trader: Trader) -> None:
    trader.holds("AAPL", "MSFT")
    trader.trouble({"missing_rows": None}, request=POSITIONS)
    assert planned(trader) == [None]
    assert kinds(trader) == {"AAPL": "view_unsteady", "MSFT": "view_unsteady"}


def test_a_position_of_which_the_venue_does_not_answer_alone_is_not_given_up(trader: Trader) -> None:
    buys_and_fills(trader, "AAPL")
    trader.trouble(MISSING, request=POSITIONS)
    trader.trouble({"status": 503}, request=POSITION)
    assert planned(trader) == [None]
    assert kinds(trader) == {"AAPL": "view_unsteady"}


def test_a_position_that_list_and_direct_question_deny_may_be_given_up_by_a_person(trader: Trader) -> None:
    buys_and_fills(trader, "AAPL")
    trader.trouble(MISSING, request=POSITIONS)
    trader.trouble("not_found", request=POSITION)
    assert planned(trader) != [None]
    assert kinds(trader) == {"AAPL": "phantom"}


def test_a_fill_that_the_activities_lack_is_protected_told_and_closed_like_any_other(trader: Trader) -> None:
    trader.trouble(MISSING, request="activities")
    trader.buys("AAPL")
    trader.stage.tick(seconds=60)
    trader.exits()
    (bought,) = [Decimal(fill["position"]) for fill in trader.told().fills]
    (pair,) = [record.intent for record in trader.intents() if record.intent.protects]
    assert (pair.quantity, trader.held()) == (bought, {}), "the books wait for the row"
    trader.stage.tick(seconds=60)
    trader.exits()
    assert screens(trader) == [10, 10]
    assert kinds(trader)["AAPL"] in ("missing_fill", "orphan")
    assert trader.flattens().code == 0
    trader.calm()
    trader.stage.tick(seconds=60)
    assert trader.reconciles().code == 0
    assert (trader.held(), trader.told().fills[-1]["position"]) == ({}, "0")
    assert screens(trader) == [0, 0]
    trader.is_whole()


def test_a_close_of_what_only_its_order_shows_does_not_end_well(trader: Trader) -> None:
    trader.trouble(MISSING, request="activities")
    trader.buys("AAPL")
    trader.stage.tick(seconds=60)
    trader.trouble(MISSING, request=POSITIONS)
    trader.trouble("not_found", request=POSITION)
    assert trader.does(lambda app: int(evaluate_exits.run(app, by="a person", noted=True).exit_code)) == Said(10, "")
    assert trader.flattens().code == 5
    assert len(trader.told().fills) == 1
    trader.calm()
    assert trader.flattens().code == 0
    trader.stage.tick(seconds=60)
    assert (trader.reconciles().code, trader.held()) == (0, {})
    trader.is_whole()
