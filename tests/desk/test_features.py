"""The features that a strategy sees: those of the last closed bar, or why there are none."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isnan

import pytest

from tests.kit.core.scene import Scene
from tests.kit.core.venue import Wanting
from tests.kit.signals.series import HOUR_S, first, hourly_series, hours, walked
from tests.kit.values import NOW
from tradebot.desk.features import BarFeatures, bars_for, with_moment
from tradebot.desk.strategy_views import StrategyInputs, ViewBuilder, uses_slot_time
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, FeatureNeed, FeatureRow, Needs
from tradebot.signals.features import columns, features, frame_of
from tradebot.signals.subjects.calendars import ReleaseCalendar
from tradebot.signals.subjects.market import Category
from tradebot.venues.ibkr.capabilities import IBKR

SESSIONS = hours(90)
BARS = hourly_series(walked(7, 2_000), SESSIONS)
"""More bars than any features are computed of."""
ALL = FeatureNeed("1Hour", tuple(name for name in features() if not features()[name].of_the_moment))


class Stored:
    """Hourly bars, of which those that had ended are returned."""

    def __init__(self, series: Series = BARS, *, away: bool = False) -> None:
        self.series, self.away, self.asked = series, away, list[tuple[BarNeed, datetime]]()

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        self.asked.append((need, until))
        if self.away:
            raise TemporaryError("the source of bars is away")
        ended = bisect_right(self.series.starts, until.timestamp() - HOUR_S)
        found = first(self.series, ended).last(need.depth)
        return {symbol: replace(found, symbol=symbol) for symbol in symbols if len(found)}


def listed(first: date, last: date, calendar: str = "") -> Sequence[Session]:
    return [one for one in SESSIONS if first <= one.date <= last]


def computed(bars: Stored, *, whole: bool = False) -> BarFeatures:
    return BarFeatures(bars, listed, IBKR.day, whole=whole)


ROLLS = (date(2026, 12, 8),)


@pytest.mark.parametrize("session", [80, 83])
def test_features_that_are_computed_ahead_are_those_of_each_moment(session: int) -> None:
    ahead, bars = Stored(), computed(Stored())
    whole, opens = computed(ahead, whole=True), SESSIONS[session].open
    moments = [opens + timedelta(minutes=minute) for minute in range(0, 24 * 60, 47)]
    for until in moments:
        row = whole.row(ALL, "ESZ6", until, "", ROLLS)
        assert row == bars.row(ALL, "ESZ6", until, "", ROLLS)
        assert row is not None
        assert until - timedelta(days=3) < row.at <= until
        assert {*row.values, *row.absent} == {*ALL.names}
    # Those before the first close of the session are of the session before.
    assert len(ahead.asked) <= 5


def test_last_session_that_is_known_is_computed_once_too() -> None:
    ahead, known = Stored(), [one for one in SESSIONS if one.open.timestamp() < BARS.starts[-1]]
    whole = BarFeatures(ahead, lambda first, last, name: known, IBKR.day, whole=True)
    for minute in range(70, 23 * 60, 60):
        assert whole.row(ALL, "ESZ6", known[-1].open + timedelta(minutes=minute), "", ROLLS) is not None
    assert len(ahead.asked) == 1


def test_row_is_of_the_last_bar_that_was_closed() -> None:
    until = SESSIONS[81].open + timedelta(minutes=150)
    row = computed(Stored()).row(ALL, "ESZ6", until, "", ROLLS)
    found = columns(frame_of(BARS, SESSIONS, ROLLS), ALL.names)
    place = bisect_right(BARS.starts, until.timestamp() - HOUR_S) - 1
    assert row is not None
    assert row.at == datetime.fromtimestamp(BARS.starts[place] + HOUR_S, UTC)
    known = {name: column[place] for name, column in found.items() if not isnan(column[place])}
    assert len(known) > 45
    assert row.values == pytest.approx(known, rel=1e-6, abs=1e-9)


def test_without_bars_there_is_no_row() -> None:
    for whole in (False, True):
        assert computed(Stored(), whole=whole).row(ALL, "ESZ6", SESSIONS[0].open, "", None) is None


def test_bars_reach_as_far_back_as_the_features_do() -> None:
    need = FeatureNeed("5Min", ("return_78", "volume_of_bar"))
    assert bars_for(need, IBKR.day) == BarNeed("5Min", 468 + 300 + 22 * 276, least=1 + 20 * 276)
    assert bars_for(FeatureNeed("5Min", ("spread",)), IBKR.day) == BarNeed("5Min", 1 + 300 + 2 * 276, least=1)
    assert bars_for(FeatureNeed(DAY, ("rsi_14",)), IBKR.day) == BarNeed(DAY, 15 + 300 + 2, least=15)


def test_daily_bars_have_no_session_to_look_ahead_in() -> None:
    daily, bars = FeatureNeed(DAY, ("rsi_14", "days_to_roll")), Stored(replace(BARS, timeframe=DAY))
    until = SESSIONS[10].open + timedelta(minutes=90)
    row = computed(bars, whole=True).row(daily, "ESZ6", until, "", None)
    assert row is not None
    assert [*row.values] == ["rsi_14"]
    assert row.absent == {"days_to_roll": "not given"}
    assert bars.asked[0][1] == until


def test_moment_adds_what_is_in_no_bar() -> None:
    need = FeatureNeed("1Hour", ("rsi_14", "spread", "release_near", "news_macro"), optional=("news_other",))
    bare = FeatureRow(NOW, {"rsi_14": 0.5})
    soon, past = NOW + timedelta(minutes=30), NOW - timedelta(minutes=61)
    market = {
        "economic_calendar": ReleaseCalendar(NOW.date(), (NOW,), (soon,)),
        "news": {Category.MACRO: (past, NOW), Category.OTHER: ()},
    }
    row = with_moment(need, bare, NOW, 2.0, market)
    assert row.values == {"rsi_14": 0.5, "spread": 2, "release_near": 1, "news_macro": 1, "news_other": 0}
    later = with_moment(need, bare, NOW - timedelta(seconds=1), None, market)
    assert later.values["release_near"] == 0
    assert with_moment(need, bare, NOW, None, {}).absent == dict.fromkeys(
        ("spread", "release_near", "news_macro", "news_other"), "not given"
    )
    young = with_moment(need, bare, NOW, None, {"news": {Category.MACRO: (NOW - timedelta(minutes=59),)}})
    assert young.absent["news_other"] == "undefined"


def seen(need: FeatureNeed, bars: Stored, scene: Scene | None = None) -> StrategyInputs:
    scene, strategy = scene or Scene(), Wanting()
    strategy.needs = Needs(features=(need,))
    scene.ledger.put_sessions(SESSIONS)
    world = replace(scene.world(), strategies=[strategy], bars=bars)
    return ViewBuilder(world, NOW, [strategy]).of(strategy)


def ending(ago_s: int) -> Series:
    """Return the bars with the last one ending so long before now."""
    by = int(NOW.timestamp()) - ago_s - HOUR_S - BARS.starts[-1]
    return replace(BARS, starts=type(BARS.starts)("q", [start + by for start in BARS.starts]))


def refusals(found: StrategyInputs) -> set[tuple[object, object]]:
    return {(left.decision.reason, left.decision.observed) for left in found.left_out}


def test_strategy_sees_the_values_by_symbol_and_timeframe() -> None:
    need = FeatureNeed("1Hour", ("rsi_14", "spread"), optional=("news_macro",))
    found, bars = seen(need, Stored(ending(60))), Stored(ending(60))
    values = found.view.values("AAPL", "1Hour")
    assert found.view.universe == Scene().universe
    assert values.keys() == {"rsi_14", "spread"}
    quote = Scene().venue.prices["AAPL"]
    assert values["spread"] == float((quote.ask - quote.bid) / Decimal("0.01"))
    assert found.view.features["AAPL", "1Hour"].absent == {"news_macro": "not given"}
    assert bars.asked == []


def test_symbol_without_a_feature_is_left_out_and_the_decision_says_why() -> None:
    need = FeatureNeed("1Hour", ("rsi_14", "days_to_roll"))
    assert refusals(seen(need, Stored(ending(60)))) == {(Reason.FEATURE_ABSENT, "days_to_roll: not given")}
    young = first(ending(60), 10)
    young = replace(young, starts=ending(60).starts[-10:])
    assert refusals(seen(need, Stored(young))) == {(Reason.FEATURE_ABSENT, "rsi_14: warming up")}
    assert refusals(seen(need, Stored(first(BARS, 0)))) == {(Reason.BARS_MISSING, 0)}


def test_symbol_whose_last_bar_is_too_old_is_left_out() -> None:
    need = FeatureNeed("1Hour", ("rsi_14",), max_age_s=900)
    for ago_s, reasons in ((900, set()), (901, {(Reason.BARS_STALE, 901.0)})):
        assert refusals(seen(need, Stored(ending(ago_s)))) == reasons


def test_needs_that_cannot_be_met_for_any_symbol_are_told() -> None:
    away = seen(FeatureNeed("1Hour", ("rsi_14",)), Stored(away=True)).unmet
    assert isinstance(away, Decision)
    assert away.reason is Reason.BARS_UNAVAILABLE
    scene = Scene(universe=tuple(f"S{number}" for number in range(4_000)))
    many = seen(FeatureNeed("1Min", ("volume_of_bar",)), Stored(), scene).unmet
    assert isinstance(many, Decision)
    assert many.reason is Reason.BARS_TOO_MANY


@pytest.mark.parametrize(("name", "fixed"), [("rsi_14", True), ("spread", False), ("release_near", False)])
def test_view_is_of_the_slot_unless_a_feature_is_of_the_moment(name: str, fixed: bool) -> None:
    assert uses_slot_time(Needs(features=(FeatureNeed("5Min", (name,)),))) is fixed
