"""What other times, sizes and exits would have changed in trades, by what was recorded of them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.trades import DAY, outcomes, trade
from tradebot.lab.learn.knobs import NO_PRICES, ExitAt, HeldFor, Knob, size, stop, target, time_exit, times
from tradebot.timetable.job_times import parse

D = Decimal


def values(knob: Knob) -> dict[str, list[float]]:
    return {other.value: [round(each, 6) for each in other.better] for other in knob.others}


def test_nearer_stop_closes_what_went_that_far_and_only_nearer_ones_are_tried() -> None:
    made = outcomes(trade(1, -20, worst=-0.02), trade(2, 15, worst=-0.011, minutes=61), trade(3, 5, worst=-0.001))
    found = stop("", ExitAt("exits.stop_loss_fraction", D("0.02")), made)
    by_id = [one.trade.id for one in made]
    assert [by_id.index(name) for name in ("t00001", "t00002", "t00003")] == [0, 2, 1]
    assert values(found) == {
        "0.018": [2, 0, 0],
        "0.015": [5, 0, 0],
        "0.01": [10, 0, -25],
        "0.007": [13, 0, -22],
    }


def test_nearer_stop_fills_as_far_beyond_its_price_as_the_stops_that_were_hit() -> None:
    hit = [trade(number, net, worst=-0.03, reasons=("stop_loss(-2%)",)) for number, net in ((1, -21), (2, -23))]
    saved = trade(3, 5, worst=-0.012, reasons=("time_exit(4h)",))
    found = values(stop("", ExitAt("exits.stop_loss_fraction", D("0.02")), outcomes(*hit, saved)))
    # Stops at 20 USD lost 21 and 23, so one at 10 loses 12.
    assert (found["0.01"], found["0.018"]) == ([9, 11, -17], [1, 3, 0])


def test_nearer_target_takes_what_was_seen_with_the_fees_that_were_paid() -> None:
    paid = trade(1, -6, best=0.02, gross_usd=D(-5), fees_usd=D(-1))
    made = outcomes(paid, trade(2, 30, best=0.03), trade(3, 5, best=0.005))
    found = target("", ExitAt("exits.profit_target_fraction", D("0.03")), made)
    assert values(found)["0.015"] == [20, -15, 0]
    # A gain of 2% was seen, and no more.
    assert values(found)["0.0225"] == [0, -7.5, 0]


def test_excursions_that_are_not_known_change_nothing() -> None:
    made = outcomes(trade(1, -20, best=None, worst=None))
    for found in (stop("", ExitAt("s", D("0.02")), made), target("", ExitAt("t", D("0.02")), made)):
        assert all(better == [0] for better in values(found).values())


def test_shorter_time_is_tried_where_prices_are_known() -> None:
    made = outcomes(trade(1, 10), trade(2, 10))
    found = time_exit("", HeldFor("exits.time_exit_s", 14_400), made, lambda one, after_s: {7200: 3.0}.get(after_s))
    assert values(found) == {"12960": [0, 0], "10800": [0, 0], "7200": [3, 3], "5040": [0, 0]}
    without = time_exit("", HeldFor("exits.time_exit_s", 14_400), made, None)
    assert (without.others, without.untold) == ([], NO_PRICES)


def test_smaller_orders_earn_and_lose_as_much_less() -> None:
    found = size("flow", "strategies.flow.limits.max_order_fraction", D("0.05"), outcomes(trade(1, -8), trade(2, 4)))
    assert values(found) == {"0.0375": [2, -1], "0.025": [4, -2]}


def test_later_and_earlier_entries_leave_out_the_trades_at_the_ends_of_sessions() -> None:
    entries = parse("every 5m from open+2m until close-15m", DAY)
    made = outcomes(trade(1, -8, minutes=10), trade(2, 4, minutes=60), trade(3, -2, minutes=370))
    found = times("timetable.trade-once", entries, made)
    assert values(found) == {
        "every 5m from open+32m until close-15m": [8, 0, 0],
        "every 5m from open+62m until close-15m": [8, -4, 0],
        "every 5m from open+92m until close-15m": [8, -4, 0],
        "every 5m from open+122m until close-15m": [8, -4, 0],
        "every 5m from open+2m until close-45m": [0, 0, 2],
        "every 5m from open+2m until close-75m": [0, 0, 2],
        "every 5m from open+2m until close-105m": [0, 0, 2],
        "every 5m from open+2m until close-135m": [0, 0, 2],
    }
    for value in values(found):
        assert str(parse(value, DAY)) == value


@pytest.mark.parametrize("text", ["at close-10m", "every 5m until close-60m, at close-10m", "every 5m from close-60m"])
def test_other_kinds_of_times_are_left_alone(text: str) -> None:
    assert (found := times("timetable.trade-once", parse(text, DAY), outcomes(trade(1, 1)))).others == ()
    assert found.untold


def test_trade_of_a_session_that_the_calendar_does_not_know_has_no_time_of_day() -> None:
    entries, far = parse("every 5m", DAY), trade(1, 1, in_session=900, held=timedelta(hours=1))
    assert times("timetable.trade-once", entries, outcomes(far)).outcomes == []
