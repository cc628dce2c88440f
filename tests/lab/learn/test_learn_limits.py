"""Tighter limits, played over the entries that were made; never a looser one."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import DAY, outcomes, trade
from tests.kit.values import LIMITS
from tradebot.lab.learn.knobs import Knob
from tradebot.lab.learn.learn import OpenedPosition, is_tighter, limits
from tradebot.views.trades.trade_row import TradeRow, TradeStatus

SCORES = (0.2, 0.21, 0.22, 0.23, 0.24, 0.25, 0.26, 0.27, 0.28, 0.29)
NAMES = ["min_score", "max_open_positions", "max_session_entries", "max_symbol_entries", "cooldown_s"]


def knobs(*trades: TradeRow, **values: Any) -> dict[str, Knob]:
    made = [OpenedPosition(one, DAY.date_of(one.opened_at)) for one in trades]
    found = limits("flow", LIMITS.model_copy(update=values), made, outcomes(*trades))
    return {one.setting.rpartition(".")[2]: one for one in found}


def left_out(knob: Knob) -> dict[str, list[str]]:
    """Return for each value which trades wouldn't have been made."""
    ids = [one.trade.id for one in knob.outcomes]
    return {other.value: [name for name, each in zip(ids, other.better, strict=True) if each] for other in knob.others}


def test_trades_with_a_score_below_a_higher_limit_are_left_out() -> None:
    made = [trade(number, 1, entry_score=(-1) ** number * score) for number, score in enumerate(SCORES)]
    found = left_out(knobs(*made, min_score=0.2)["min_score"])
    assert (found["0.21"], found["0.25"]) == (["t00000"], ["t00000", "t00001", "t00002", "t00003", "t00004"])
    assert "0.2" not in found


def test_position_that_is_refused_makes_room_for_the_next() -> None:
    """Open: 0 to 30, 10 to 40, 35 to 65. Without the second, the third finds room."""
    made = [trade(number, 1, minutes=minute) for number, minute in enumerate((0, 10, 35))]
    assert left_out(knobs(*made, max_open_positions=5)["max_open_positions"]) == {"1": ["t00001"]}


def test_open_position_takes_room_and_is_no_outcome() -> None:
    held = trade(0, -50, minutes=0, status=TradeStatus.OPEN, closed_at=None)
    found = knobs(held, trade(1, 1, minutes=100))["max_open_positions"]
    assert [one.trade.id for one in found.outcomes] == ["t00001"]
    assert left_out(found) == {"1": ["t00001"]}


def test_entries_of_a_session_and_of_a_symbol_are_counted_in_their_order() -> None:
    made = [trade(number, 1, minutes=number, symbol=symbol) for number, symbol in enumerate("ABAA")]
    found = knobs(*made, trade(9, 1, in_session=1, symbol="A"), max_session_entries=50, max_symbol_entries=5)
    assert left_out(found["max_session_entries"]) == {
        "3": ["t00003"],
        "2": ["t00002", "t00003"],
        "1": ["t00001", "t00002", "t00003"],
    }
    assert left_out(found["max_symbol_entries"]) == {"2": ["t00003"], "1": ["t00002", "t00003"]}


def test_longer_cooldown_leaves_out_what_follows_too_soon() -> None:
    made = [trade(number, 1, minutes=minute, symbol="A") for number, minute in enumerate((0, 80, 200))]
    # Fifty minutes after the first, and 90 after the second.
    assert left_out(knobs(*made, cooldown_s=1800)["cooldown_s"]) == {"3600": ["t00001"], "7200": ["t00001"]}


MADE = st.builds(
    trade,
    st.integers(0, 10_000),
    st.floats(-50, 50),
    in_session=st.integers(0, 5),
    minutes=st.integers(0, 380),
    held=st.integers(1, 200).map(lambda minutes: timedelta(minutes=minutes)),
    entry_score=st.none() | st.floats(-1, 1),
    symbol=st.sampled_from("ABC"),
)


@given(
    st.lists(MADE, max_size=25, unique_by=lambda one: one.id),
    st.floats(0.01, 1),
    st.integers(1, 12),
    st.integers(1, 90_000),
    st.randoms(),
)
def test_limits_are_only_tightened_whatever_was_traded_and_in_whatever_order_it_is_read(
    made: list[TradeRow], score: float, count: int, wait_s: int, chance: Any
) -> None:
    values = {
        "min_score": score,
        "max_open_positions": count,
        "max_session_entries": count,
        "max_symbol_entries": count,
    }
    found = knobs(*made, **values, cooldown_s=wait_s)
    assert list(found) == NAMES
    for name, knob in found.items():
        now = getattr(LIMITS.model_copy(update={**values, "cooldown_s": wait_s}), name)
        assert all(is_tighter(name, now, float(other.value)) for other in knob.others)
    chance.shuffle(made)
    assert knobs(*made, **values, cooldown_s=wait_s) == found
