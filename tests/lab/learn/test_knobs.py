"""What other times, sizes and exits would have changed in trades, by what was recorded of them.

Which other value is proposed: one that would have earned more beyond chance, among all that were tried.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from tests.kit.trades import DAY, Told, judged, outcomes, trade
from tests.kit.values import there
from tradebot.auditing.confidence_intervals import fewest_sessions
from tradebot.auditing.outcomes import STAKE_USD
from tradebot.lab.learn.knobs import (
    HELD_S,
    NO_PRICES,
    AlternativeValue,
    Blocked,
    ExitAt,
    HoldingTimeLimit,
    TunableSetting,
    by_session,
    entry_time_setting,
    order_size_setting,
    proposals,
    stop,
    target,
    time_exit,
)
from tradebot.lab.learn.values import LEAST, Item, Proposal, TradeOutcome
from tradebot.model.decision import Gate
from tradebot.model.record import EntryOutcome
from tradebot.timetable.job_times import parse

D = Decimal


def values(knob: TunableSetting) -> dict[str, list[float]]:
    return {other.value: [round(each, 6) for each in other.better] for other in knob.others}


def test_nearer_stop_closes_what_went_that_far_and_only_nearer_ones_are_tried() -> None:
    made = outcomes(trade(1, -20, worst=-0.02), trade(2, 15, worst=-0.011, minutes=61), trade(3, 5, worst=-0.001))
    found = stop("", ExitAt("exits.stop_loss_fraction", D("0.02")), made)
    by_id = [one.trade.id for one in made]
    assert [by_id.index(name) for name in ("t00001", "t00002", "t00003")] == [0, 2, 1]
    assert values(found) == {"0.018": [2, 0, 0], "0.015": [5, 0, 0], "0.01": [10, 0, -25], "0.007": [13, 0, -22]}


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
    found = time_exit(
        "", HoldingTimeLimit("exits.time_exit_s", 14_400), made, lambda one, after_s: {7200: 3.0}.get(after_s)
    )
    assert values(found) == {"12960": [0, 0], "10800": [0, 0], "7200": [3, 3], "5040": [0, 0]}
    without = time_exit("", HoldingTimeLimit("exits.time_exit_s", 14_400), made, None)
    assert (without.others, without.untold) == ([], NO_PRICES)


def test_smaller_orders_earn_and_lose_as_much_less() -> None:
    found = order_size_setting(
        "flow", "strategies.flow.limits.max_order_fraction", D("0.05"), outcomes(trade(1, -8), trade(2, 4))
    )
    assert values(found) == {"0.0375": [2, -1], "0.025": [4, -2]}


def test_later_and_earlier_entries_leave_out_the_trades_at_the_ends_of_sessions() -> None:
    entries = parse("every 5m from open+2m until close-15m", DAY)
    made = outcomes(trade(1, -8, minutes=10), trade(2, 4, minutes=60), trade(3, -2, minutes=370))
    found = entry_time_setting("timetable.trade-once", entries, made)
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
    assert (found := entry_time_setting("timetable.trade-once", parse(text, DAY), outcomes(trade(1, 1)))).others == ()
    assert found.untold


def test_trade_of_a_session_that_the_calendar_does_not_know_has_no_time_of_day() -> None:
    entries, far = parse("every 5m", DAY), trade(1, 1, in_session=900, held=timedelta(hours=1))
    assert entry_time_setting("timetable.trade-once", entries, outcomes(far)).outcomes == []


MADE = outcomes(*[trade(number, 1, in_session=number // 4, minutes=10 * (number % 4)) for number in range(80)])


def knob(*others: AlternativeValue, made: tuple[TradeOutcome, ...] = MADE) -> TunableSetting:
    return TunableSetting(Item.EXITS, "flow", "exits.stop_loss_fraction", "0.02", made, others)


def better(chance: Random, mean: float) -> list[float]:
    return [chance.gauss(mean, 1) for _ in MADE]


def test_value_that_earns_more_beyond_chance_is_proposed_with_its_evidence() -> None:
    chance = Random(1)  # noqa: S311 - repeatable on purpose
    (found,) = proposals(
        [knob(AlternativeValue("0.01", better(chance, 1)), AlternativeValue("0.015", better(chance, 0)))]
    )
    assert (found.setting, found.value, found.proposed, found.n) == ("exits.stop_loss_fraction", "0.02", "0.01", 80)
    # Four trades a session, each better by one dollar.
    assert 0 < there(found.low) < 4 < there(found.high)
    assert "With 0.01, 80 trades would have ended differently" in found.evidence


def test_value_that_earns_less_beyond_chance_or_no_more_than_chance_is_not_proposed() -> None:
    chance = Random(2)  # noqa: S311 - repeatable on purpose
    (found,) = proposals(
        [knob(AlternativeValue("0.01", better(chance, -1)), AlternativeValue("0.015", better(chance, 0)))]
    )
    assert (found.proposed, found.missing, found.missing_sessions) == (None, 0, 0)
    assert found.evidence.startswith(
        "Chance alone may explain the best of the 2 values tried in all. With 0.015, 80 trades"
    )
    (worse,) = proposals([knob(AlternativeValue("0.01", better(chance, -1)))])
    assert worse.evidence.startswith("No other value that was tried would have earned more. With 0.01, 80 trades")


def test_value_that_would_have_earned_more_is_shown_before_one_that_would_have_earned_less() -> None:
    chance = Random(5)  # noqa: S311 - repeatable on purpose
    less, more = [each / 100 for each in better(chance, -1)], [50 * each for each in better(chance, 0.1)]
    (found,) = proposals([knob(AlternativeValue("0.01", less), AlternativeValue("0.015", more))])
    assert found.observed
    assert found.observed > 0 > there(found.low)


def test_more_values_take_more_proof() -> None:
    chance = Random(3)  # noqa: S311 - repeatable on purpose
    weak = AlternativeValue("0.01", better(chance, 0.5))
    assert next(iter(proposals([knob(weak)]))).proposed == "0.01"
    many = [knob(AlternativeValue(str(number), better(chance, 0))) for number in range(60)]
    assert next(iter(proposals([knob(weak), *many]))).proposed is None


def test_too_few_trades_or_sessions_say_how_many_are_missing() -> None:
    def of(made: tuple[TradeOutcome, ...]) -> tuple[int, int, str]:
        (found,) = proposals([knob(AlternativeValue("0.01", [5.0] * len(made)), made=made)])
        assert (found.proposed is None) is (found.observed is None) is bool(found.missing or found.missing_sessions)
        return found.missing, found.missing_sessions, found.evidence

    assert of(MADE[:10]) == (
        20,
        5,
        "10 closed trades: 20 more closed trades and 5 more sessions with closed trades are needed.",
    )
    assert of(MADE[:28])[:2] == (LEAST - 28, 1)
    assert of(MADE[:31])[:2] == (0, 0)
    assert of(())[:2] == (LEAST, fewest_sessions(1))


def test_value_that_changes_nothing_is_not_tested() -> None:
    (found,) = proposals([knob(AlternativeValue("0.01", [0.0] * 80))])
    assert (found.proposed, found.evidence) == (None, "No other value would have changed any of these trades.")


def test_session_counts_once() -> None:
    assert by_session(MADE[:6], [1, 2, 3, 4, 5, 6]) == [10, 11]


SCORE, ROOM = Gate.SCORE, Gate.OWN_OPEN_POSITIONS


class Held(Told):
    """Returns of four hours that a test makes up, by symbol."""

    def __init__(self, gains: dict[str, float]) -> None:
        self._gains = gains

    def return_after(self, symbol: str, at: datetime, longest_s: int) -> float | None:
        assert longest_s == HELD_S == 4 * 3600
        return self._gains.get(symbol)


def found(*days: tuple[dict[str, float], list[EntryOutcome]]) -> dict[str, Proposal]:
    blocked = Blocked()
    for gains, each in days:
        blocked.add(Held(gains), each)
    settings = {("flow", SCORE): "strategies.flow.limits.min_score"}
    proposals = list(blocked.proposals(settings, {("flow", SCORE): "0.2"}))
    assert all((one.item, one.proposed) == (Item.BLOCKED, None) for one in proposals)
    return {one.part: one for one in proposals}


def test_trade_counts_once_for_its_first_refusal_on_its_own_side() -> None:
    made = [
        judged("AAPL", 0.5, SCORE),
        judged("AAPL", 0.5, ROOM, minute=5),
        judged("MSFT", -0.5, SCORE, minute=5),
        judged("NVDA", 0.5, SCORE),
        judged("NVDA", 0.5, None, minute=10),
        judged("TSLA", 0.5, ROOM, was_gated=False),
        judged("AMZN", 0.0, ROOM),
        judged("SPY", 0.5, ROOM),
    ]
    rows = found(({"AAPL": 0.03, "MSFT": 0.01, "NVDA": 0.5, "TSLA": 0.5, "AMZN": 0.5}, made))
    assert {name: one.n for name, one in rows.items()} == {SCORE: 2}
    one = rows[SCORE]
    assert (one.setting, one.value) == ("strategies.flow.limits.min_score", "0.2")
    assert (one.missing, one.missing_sessions, one.low) == (28, fewest_sessions(1) - 1, None)
    assert f"they would have earned {0.02 * STAKE_USD:.2f} USD before costs. A conclusion takes" in one.evidence


@pytest.mark.parametrize(
    ("gain", "says"), [(0.01, "cost money. Learning never loosens a limit"), (-0.01, "saved money.")]
)
def test_enough_refusals_say_what_they_cost_or_saved(gain: float, says: str) -> None:
    names = [f"S{number}" for number in range(4)]
    days = [
        (dict.fromkeys(names, gain * (1 + 0.1 * (session % 3))), [judged(name, 0.5, ROOM) for name in names])
        for session in range(10)
    ]
    one = found(*days)[ROOM]
    assert (one.n, one.missing, one.missing_sessions) == (40, 0, 0)
    assert says in one.evidence
    assert one.setting is None


def test_refusals_that_may_be_chance_say_so() -> None:
    names = [f"S{number}" for number in range(4)]
    days = [
        (dict.fromkeys(names, 0.01 * (-1) ** session), [judged(name, 0.5, ROOM) for name in names])
        for session in range(10)
    ]
    assert "that can't be distinguished from chance." in found(*days)[ROOM].evidence
