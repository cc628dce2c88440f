"""FIX's order state matrices (FIX 4.4, appendix D), as far as they can be played through Alpaca's API.

Each scenario is played for purchases, closing sales and short sales, on three venues. What is expected are the lines
that were told of each order, `minute order event filled+left`. X, Y and Z are the orders, as in the appendix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.exchange.order_states import VENUES, WAYS, Stage
from tradebot.exchange.engine import unsolicited
from tradebot.exchange.engine.actions import schedule
from tradebot.exchange.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT, Action, before_trading

BEGIN = "10 X pending_new 0+100, 10 X new 0+100, "
"""How most scenarios begin."""


class Scenario(NamedTuple):
    """A play, the shares that the market trades at the limit by minute, when it begins, by whom, and what is told."""

    play: Callable[[Stage], None]
    trades: Mapping[int, int]
    minute: float
    ways: Sequence[str]
    told: Mapping[str, str]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    instant: str,
    slow: str | None = None,
    paper: str | None = None,
    trades: Mapping[int, int] = MappingProxyType({}),
    minute: float = 10,
    ways: Sequence[str] = tuple(WAYS),
    begin: str = BEGIN,
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register a play, with what is told on the three venues; without a word the same as on the instant one."""
    told = {"instant": begin + instant, "slow": begin + (slow or instant), "paper": begin + (paper or instant)}

    def registered(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        SCENARIOS[play.__name__] = Scenario(play, trades, minute, ways, told)
        return play

    return registered


@scenario(
    trades={12: 30, 13: 70},
    instant="12 X partial_fill 30+70, 13 X fill 100+0",
)
def a1a_filled(stage: Stage) -> None:
    stage.order()
    stage.to(15)


@scenario(
    instant="11 X fill 100+0",
    paper="10 X fill 100+0",
)
def a1a_filled_by_the_market_as_it_stands(stage: Stage) -> None:
    stage.order(limit=101)
    stage.to(15)


@scenario(
    trades={12: 30},
    instant="12 X partial_fill 30+70, 390 X expired 30+0",
)
def a1b_part_filled_and_done_for_the_day(stage: Stage) -> None:
    stage.order()
    stage.to(400)


@scenario(
    instant="11 X canceled 0+0",
    slow="11 X pending_cancel 0+100, 12.5 X canceled 0+0",
)
def b1a_canceled_without_a_fill(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.cancel("X")
    stage.to(15)


@scenario(
    trades={11: 30, 13: 20, 15: 50},
    instant="11 X partial_fill 30+70, 12 X canceled 30+0",
    slow="11 X partial_fill 30+70, 12 X pending_cancel 30+70, 13 X partial_fill 50+50, 13.5 X canceled 50+0",
)
def b1b_canceled_after_a_part_and_another_on_the_way(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.cancel("X")
    stage.to(20)


@scenario(
    trades={12: 100},
    instant="11 X canceled 0+0",
    slow="11 X pending_cancel 0+100, 12 X fill 100+0, 12.5 X order_cancel_rejected/filled 100+0",
)
def b1c_canceled_and_filled_before_the_cancel_arrives(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.cancel("X")
    stage.to(15)


@scenario(
    minute=-30,
    begin="",
    instant="-30 X accepted 0+100, -20 X canceled 0+0",
)
def b1d_canceled_before_it_is_at_the_market(stage: Stage) -> None:
    stage.order()
    stage.to(-20)
    stage.cancel("X")
    stage.to(5)


@scenario(
    trades={15: 100, 16: 20},
    instant=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 11 X replaced 0+0, 11 Y new 0+120, "
        "15 Y partial_fill 100+20, 16 Y fill 120+0"
    ),
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 12.5 X replaced 0+0, 12.5 Y new 0+120, "
        "15 Y partial_fill 100+20, 16 Y fill 120+0"
    ),
)
def c1a_replaced_by_more_without_a_fill(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", qty=120)
    stage.to(20)


@scenario(
    trades={11: 30, 13: 20, 15: 70},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+120, 12 X replaced 30+0, "
        "12 Y new 30+90, 13 Y partial_fill 50+70, 15 Y fill 120+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+120, 13 X partial_fill 50+50, "
        "13.5 X replaced 50+0, 13.5 Y new 50+70, 15 Y fill 120+0"
    ),
)
def c1b_replaced_by_more_after_a_part_and_another_on_the_way(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", qty=120)
    stage.to(20)


@scenario(
    trades={12: 100, 15: 20},
    instant=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 11 X replaced 0+0, 11 Y new 0+120, "
        "12 Y partial_fill 100+20, 15 Y fill 120+0"
    ),
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 12 X fill 100+0, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/filled 100+0"
    ),
)
def c1c_replaced_by_more_and_filled_before_that_arrives(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", qty=120)
    stage.to(20)
    over = "unable to replace order, order is not open" if stage.slow else "order already replaced"
    assert stage.refused("replace", "X", "Z", qty=130) == f"422 {over}"


@scenario(
    trades={12: 100},
    instant="11 X pending_replace 0+100, 11 Y pending_new 0+100, 11 X replaced 0+0, 11 Y new 0+100, 12 Y fill 100+0",
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+100, 12 X fill 100+0, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/filled 100+0"
    ),
)
def c2a_replaced_at_another_price_and_filled_before_that_arrives(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", limit=89)
    stage.to(15)


@scenario(
    trades={11: 30},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 12 X replaced 30+0, "
        "12 Y new 30+70, 13 Y fill 100+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 13.5 X replaced 30+0, "
        "13.5 Y new 30+70, 15 Y fill 100+0"
    ),
    paper=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 12 X replaced 30+0, "
        "12 Y new 30+70, 12 Y fill 100+0"
    ),
)
def c2b_replaced_at_a_price_that_the_market_meets(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", limit=101)
    stage.to(15)


@scenario(
    trades={12: 50, 15: 20},
    instant=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+70, 11 X replaced 0+0, 11 Y new 0+70, "
        "12 Y partial_fill 50+20, 15 Y fill 70+0"
    ),
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+70, 12 X partial_fill 50+50, 12.5 X replaced 50+0, "
        "12.5 Y new 50+20, 15 Y fill 70+0"
    ),
)
def c3a_replaced_by_less_than_it_was_and_more_than_is_filled(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", qty=70)
    stage.to(20)


@scenario(
    trades={12: 50, 15: 50},
    instant="11 X pending_replace 0+100, 11 Y pending_new 0+50, 11 X replaced 0+0, 11 Y new 0+50, 12 Y fill 50+0",
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+50, 12 X partial_fill 50+50, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/partially_filled 50+50, 15 X fill 100+0"
    ),
)
def c3b_replaced_by_as_much_as_is_filled(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", qty=50)
    stage.to(20)


@scenario(
    trades={12: 50, 15: 50},
    instant="11 X pending_replace 0+100, 11 Y pending_new 0+30, 11 X replaced 0+0, 11 Y new 0+30, 12 Y fill 30+0",
    slow=(
        "11 X pending_replace 0+100, 11 Y pending_new 0+30, 12 X partial_fill 50+50, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/partially_filled 50+50, 15 X fill 100+0"
    ),
)
def c3c_replaced_by_less_than_is_filled(stage: Stage) -> None:
    stage.order()
    stage.to(11)
    stage.replace("X", "Y", qty=30)
    stage.to(20)


@scenario(
    trades={11: 30, 20: 90},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 15 Y pending_replace 30+80, 15 Z pending_new 0+120, 15 Y replaced 30+0, 15 Z new 30+90, "
        "20 Z fill 120+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 X replaced 30+0, "
        "13.5 Y new 30+80, 15 Y pending_replace 30+80, 15 Z pending_new 0+120, 16.5 Y replaced 30+0, "
        "16.5 Z new 30+90, 20 Z fill 120+0"
    ),
)
def d1a_replaced_twice(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", qty=110)
    stage.to(15)
    stage.replace("Y", "Z", qty=120)
    stage.to(25)


@scenario(
    trades={11: 30, 20: 90},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Z pending_new 0+120, 12 X replaced 30+0, "
        "12 Z new 30+90, 20 Z fill 120+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Z pending_new 0+120, 13.5 X replaced 30+0, "
        "13.5 Z new 30+90, 20 Z fill 120+0"
    ),
)
def d1b_a_replacement_refused_and_another_accepted(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    assert stage.refused("replace", "X", "Y", qty=30) == "422 qty must be > filled_qty"
    stage.replace("X", "Z", qty=120)
    stage.to(25)


@scenario(
    trades={11: 30, 20: 90},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 Y rejected 0+0, "
        "12 X order_replace_rejected/partially_filled 30+70, 15 X pending_replace 30+70, 15 Z pending_new 0+120, "
        "15 X replaced 30+0, 15 Z new 30+90, 20 Z fill 120+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 Y rejected 0+0, "
        "13.5 X order_replace_rejected/partially_filled 30+70, 15 X pending_replace 30+70, 15 Z pending_new 0+120, "
        "16.5 X replaced 30+0, 16.5 Z new 30+90, 20 Z fill 120+0"
    ),
)
def d1c_a_replacement_rejected_after_it_was_accepted_and_another_accepted(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", qty=110, fate="reject")
    stage.to(15)
    stage.replace("X", "Z", qty=120)
    stage.to(25)


@scenario(
    trades={11: 30, 20: 80},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 20 Y fill 110+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 X replaced 30+0, "
        "13.5 Y new 30+80, 20 Y fill 110+0"
    ),
)
def d2a_replaced_again_before_the_first_is_answered(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", qty=110)
    why = "cannot replace order in pending_replace status" if stage.slow else "order already replaced"
    assert stage.refused("replace", "X", "Z", qty=120) == f"422 {why}"
    stage.to(25)


@scenario(
    trades={11: 30, 13: 20, 20: 80},
    instant=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 12 Y canceled 30+0"
    ),
    slow=(
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 Y pending_cancel 0+110, "
        "13 X partial_fill 50+50, 13.5 X replaced 50+0, 13.5 Y new 50+60, 13.5 Y canceled 50+0"
    ),
)
def d2b_canceled_before_the_replacement_is_answered(stage: Stage) -> None:
    stage.order()
    stage.to(12)
    stage.replace("X", "Y", qty=110)
    why = "order pending replace" if stage.slow else 'order is already in "replaced" state'
    assert stage.refused("cancel", "X") == f"422 {why}"
    stage.cancel("Y")
    stage.to(25)


@scenario(
    trades={12: 30},
    instant="12 X partial_fill 30+70, 1110 X canceled 30+0",
)
def e1a_canceled_by_the_venue(stage: Stage) -> None:
    stage.order(tif="gtc")
    act(stage, REVERSE_SPLIT, new_rate=Decimal(1), old_rate=Decimal(2))
    stage.to(5, session=1)


@scenario(
    trades={1012: 100},
    ways=("buy",),
    instant="1110 X restated/new 0+100, 1452 X fill 100+0",
)
def e1b_repriced_by_the_venue(stage: Stage) -> None:
    stage.order(tif="gtc")
    act(stage, DIVIDEND, rate=Decimal("1.5"))
    stage.to(15, session=1)


@scenario(
    instant="10 X canceled 0+0",
    slow="10 X pending_cancel 0+100, 11.5 X canceled 0+0",
)
def f1a_refused_for_an_id_that_was_used_before(stage: Stage) -> None:
    stage.order(client_order_id="once")
    assert stage.refused("order", "Y", client_order_id="once") == "422 client_order_id must be unique"
    stage.cancel("X")
    stage.to(15)
    assert stage.refused("order", "Y", client_order_id="once") == "422 client_order_id must be unique"


@scenario(
    trades={12: 100},
    begin="",
    instant="10 X pending_new 0+100, 10 X rejected 0+0",
)
def f1b_rejected_after_it_was_accepted(stage: Stage) -> None:
    stage.order(fate="reject")
    stage.to(15)


@scenario(
    trades={12: 30, 1012: 20, 1014: 50},
    instant="12 X partial_fill 30+70, 1452 X partial_fill 50+50, 1454 X fill 100+0",
)
def h1a_filled_over_two_days(stage: Stage) -> None:
    stage.order(tif="gtc")
    stage.to(20, session=1)


@scenario(
    trades={1012: 150, 1014: 50},
    instant="1110 X restated/new 0+200, 1452 X fill 200+0",
)
def h1b_split_overnight_and_filled(stage: Stage) -> None:
    stage.order(tif="gtc")
    act(stage, FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1))
    stage.to(20, session=1)


@scenario(
    trades={12: 30, 1012: 100},
    instant="12 X partial_fill 30+70, 1110 X canceled 30+0",
)
def h1b_filled_in_part_and_split_overnight(stage: Stage) -> None:
    stage.order(tif="gtc")
    act(stage, FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1))
    stage.to(20, session=1)


@scenario(
    trades={12: 30, 1012: 20},
    instant="12 X partial_fill 30+70, 1451 X canceled 30+0",
    slow="12 X partial_fill 30+70, 1451 X pending_cancel 30+70, 1452 X partial_fill 50+50, 1452.5 X canceled 50+0",
)
def h1c_filled_in_part_and_canceled_on_the_next_day(stage: Stage) -> None:
    stage.order(tif="gtc")
    stage.to(11, session=1)
    stage.cancel("X")
    stage.to(20, session=1)


@scenario(
    trades={12: 30, 1012: 20, 1015: 70},
    instant=(
        "12 X partial_fill 30+70, 1451 X pending_replace 30+70, 1451 Y pending_new 0+120, 1451 X replaced 30+0, "
        "1451 Y new 30+90, 1452 Y partial_fill 50+70, 1455 Y fill 120+0"
    ),
    slow=(
        "12 X partial_fill 30+70, 1451 X pending_replace 30+70, 1451 Y pending_new 0+120, "
        "1452 X partial_fill 50+50, 1452.5 X replaced 50+0, 1452.5 Y new 50+70, 1455 Y fill 120+0"
    ),
)
def h1d_filled_in_part_and_replaced_by_more_on_the_next_day(stage: Stage) -> None:
    stage.order(tif="gtc")
    stage.to(11, session=1)
    stage.replace("X", "Y", qty=120)
    stage.to(20, session=1)


@scenario(
    trades={11: 99, 12: 100},
    instant="11 X canceled 0+0",
    paper="10 X canceled 0+0",
)
def i1a_fill_or_kill_that_cannot_be_filled(stage: Stage) -> None:
    stage.order(tif="fok")
    stage.to(15)


@scenario(
    trades={10: 30, 11: 30, 12: 70},
    instant="11 X partial_fill 30+70, 11 X canceled 30+0",
    paper="10 X partial_fill 30+70, 10 X canceled 30+0",
)
def i1b_immediate_or_cancel_that_is_filled_in_part(stage: Stage) -> None:
    stage.order(tif="ioc", limit=101)
    stage.to(15)


@scenario(
    trades={12: 30, 14: 20, 17: 70},
    instant="12 X partial_fill 30+70, 17 X fill 100+0",
)
def k1a_halted_and_resumed(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.pit.engine.halted = {"AAA"}
    stage.to(16)
    stage.pit.engine.halted = frozenset()
    stage.to(20)


@scenario(
    trades={12: 30, 14: 20, 20: 50},
    instant="12 X partial_fill 30+70, 13 X canceled 30+0",
    slow="12 X partial_fill 30+70, 13 X pending_cancel 30+70, 14.5 X canceled 30+0",
)
def k1b_canceled_in_a_halt(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.pit.engine.halted = {"AAA"}
    stage.cancel("X")
    stage.to(18)
    stage.pit.engine.halted = frozenset()
    stage.to(22)


def act(stage: Stage, kind: str, **terms: Any) -> None:
    """Announce a corporate action for the next session."""
    engine = stage.pit.engine
    session = engine.market.calendar.market[1]
    action = Action(kind, "AAA", session.date, before_trading(session), engine.now_us, session.date)._replace(**terms)
    engine.market.announce(action)
    schedule(engine, action)


def told_on(venue: str, way: str, one: Scenario) -> str:
    stage = Stage(venue, way, one.trades, one.minute)
    one.play(stage)
    return ", ".join(stage.told)


@scenario(
    trades={12: 30, 14: 30, 20: 70},
    instant="12 X partial_fill 30+70, 13 X suspended 30+70, 15 X restated/partially_filled 30+70, 20 X fill 100+0",
)
def g1a_suspended_and_resumed(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.unasked(unsolicited.suspend, "X")
    stage.to(15)
    stage.unasked(unsolicited.resume, "X")
    stage.to(25)


@scenario(trades={12: 30}, instant="12 X partial_fill 30+70, 13 X suspended 30+70, 13 X canceled 30+0")
def g1b_suspended_and_canceled(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.unasked(unsolicited.suspend, "X")
    stage.cancel("X")
    stage.to(25)


@scenario(trades={12: 30}, instant="12 X partial_fill 30+70, 13 X stopped 30+70, 14 X fill 100+0")
def g2a_stopped_and_filled_as_guaranteed(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.unasked(unsolicited.stop, "X")
    stage.to(25)


@scenario(
    trades={12: 30},
    instant=(
        "12 X partial_fill 30+70, 13 X stopped 30+70, 13.5 X restated/partially_filled 30+70, "
        "13.75 X stopped 30+70, 14.75 X fill 100+0"
    ),
)
def g2b_stopped_resumed_and_stopped_again(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.unasked(unsolicited.stop, "X")
    stage.to(13.5)
    stage.unasked(unsolicited.resume, "X")
    stage.to(13.75)
    stage.unasked(unsolicited.stop, "X")
    stage.to(25)


@scenario(trades={12: 30}, instant="12 X partial_fill 30+70, 389.5 X stopped 30+70, 390 X fill 100+0")
def g2c_stopped_just_before_the_close_and_filled_with_it(stage: Stage) -> None:
    stage.order(tif="gtc")
    stage.to(389.5)
    stage.unasked(unsolicited.stop, "X")
    stage.to(5, session=1)


@scenario(
    trades={12: 30},
    instant=(
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 X replaced 30+0, 13 Y new 30+80, 13 Y canceled 30+0"
    ),
    slow=(
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 Y pending_cancel 0+110, 14.5 X replaced 30+0, 14.5 Y new 30+80, 14.5 Y canceled 30+0"
    ),
)
def d3d_canceled_behind_a_replacement_that_is_slower_than_the_cancel(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.replace("X", "Y", qty=110)
    stage.pit.engine.latency_us = 0
    stage.cancel("Y")
    stage.to(25)


@scenario(
    trades={12: 30, 14: 20, 20: 80},
    instant="12 X partial_fill 30+70, 14 X partial_fill 50+50, 15 X trade_bust 20+80, 20 X fill 100+0",
)
def g3a_a_partial_fill_busted_and_filled_again(stage: Stage) -> None:
    stage.order()
    stage.to(15)
    stage.amend("X", 0)
    stage.to(25)


@scenario(trades={12: 100}, instant="12 X fill 100+0, 15 X trade_bust 0+0")
def g3b_a_whole_fill_busted(stage: Stage) -> None:
    stage.order()
    stage.to(15)
    stage.amend("X", 0)
    stage.to(25)


@scenario(trades={12: 30, 20: 70}, instant="12 X partial_fill 30+70, 15 X trade_correct 10+90, 20 X partial_fill 80+20")
def g4a_a_fill_corrected_to_fewer_shares_and_another_price(stage: Stage) -> None:
    stage.order()
    stage.to(15)
    stage.amend("X", 0, qty=Decimal(10))
    stage.to(25)


@scenario(
    trades={12: 30, 20: 80},
    instant=(
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 X replaced 30+0, 13 Y new 30+80, 16 X trade_bust 0+0, 20 Y partial_fill 80+30"
    ),
    slow=(
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "14.5 X replaced 30+0, 14.5 Y new 30+80, 16 X trade_bust 0+0, 20 Y partial_fill 80+30"
    ),
)
def g3c_a_fill_busted_that_a_replacement_has_taken_over(stage: Stage) -> None:
    stage.order()
    stage.to(13)
    stage.replace("X", "Y", qty=110)
    stage.to(16)
    stage.amend("X", 0)
    stage.to(25)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_order_goes_through_its_states_as_the_matrices_say(name: str, venue: str) -> None:
    one = SCENARIOS[name]
    assert {way: told_on(venue, way, one) for way in one.ways} == dict.fromkeys(one.ways, one.told[venue])
