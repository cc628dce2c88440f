"""Large moves of prices hold back entries for a while, whoever saw them and whether or not the bot ran since."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import NOW, limits
from tradebot.desk.shocks import shocks_in_bars
from tradebot.errors import TemporaryError
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World

D = Decimal
WAIT_S = 1800
OF_PRICES = {"max_minute_move_fraction": "0.05", "max_minute_range_fraction": "0.04"}
ON = limits(**OF_PRICES, max_shocked_symbols=3, shock_wait_s=WAIT_S)
BASIS = limits(max_basis_shock_fraction="0.015", shock_wait_s=WAIT_S)


def minutes(symbol: str, *bars: tuple[float, float, float, float], ended: datetime = NOW) -> Series:
    """Return minute bars of open, high, low and close, of which the last one has just ended."""
    last = int(ended.timestamp()) - 60
    starts = array("q", (last - 60 * back for back in reversed(range(len(bars)))))
    opens, highs, lows, closes = (array("d", column) for column in zip(*bars, strict=True))
    return Series(symbol, "1Min", False, starts, opens, highs, lows, closes, array("d", (1.0 for _ in bars)))


CALM, DROP = (100.0, 101.0, 99.0, 100.0), (97.0, 97.5, 94.5, 95.0)


@dataclass
class MinuteBars:
    """A store of bars, or one that can't be read."""

    series: Mapping[str, Series] = field(default_factory=dict)
    readable: bool = True
    asked: list[BarNeed] = field(default_factory=list)

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        self.asked.append(need)
        if not self.readable:
            raise TemporaryError("no bars now")
        return {symbol: self.series[symbol] for symbol in symbols if symbol in self.series}


@pytest.mark.parametrize(
    ("bars", "found"),
    [
        ([CALM, CALM], 0),
        ([CALM, (100.0, 100.0, 97.0, 97.0)], 0),
        ([CALM, (100.0, 101.0, 97.12, 99.0)], 0),
        ([CALM, (100.0, 101.0, 97.11, 99.0)], 1),
        # From the close of the minute before, so that a gap counts.
        ([CALM, (95.1, 95.2, 95.0, 95.0)], 1),
        ([CALM, (105.0, 105.0, 104.9, 105.0)], 1),
        ([CALM, (95.1, 95.2, 95.01, 95.01)], 0),
        ([(90.0, 90.0, 90.0, 90.0)], 0),
    ],
)
def test_a_shock_is_a_move_between_closes_or_a_range_within_a_minute(
    bars: list[tuple[float, float, float, float]], found: int
) -> None:
    shocks = list(shocks_in_bars(minutes("AAPL", *bars), ON))
    assert [shock.at for shock in shocks] == [NOW] * found
    assert not list(shocks_in_bars(minutes("AAPL", *bars), limits()))


prices = st.one_of(st.floats(90, 110), st.sampled_from((95.0, 95.00000000000001, 100.0, 104.0, 105.0)))


@given(st.lists(st.tuples(prices, prices, prices, prices), min_size=1, max_size=6))
def test_a_shock_is_found_by_exact_comparison_with_the_limits(raws: list[tuple[float, float, float, float]]) -> None:
    bars = [(bar[0], max(bar), min(bar), bar[3]) for bar in raws]
    befores = [bars[0][0], *(bar[3] for bar in bars[:-1])]
    moves = [
        abs(close / before - 1) >= D("0.05") or high / low - 1 >= D("0.04")
        for before, (_, high, low, close) in zip(befores, bars, strict=True)
    ]
    ends = [NOW - timedelta(minutes=back) for back in reversed(range(len(bars)))]
    expected = [end for end, moved in zip(ends, moves, strict=True) if moved]
    assert [shock.at for shock in shocks_in_bars(minutes("AAPL", *bars), ON)] == expected


def world_of(scene: Scene, bars: MinuteBars, *symbols: str) -> World:
    return replace(scene.world(*(wanted(symbol) for symbol in symbols)), bars=bars)


def ends(record: CycleRecord) -> dict[str, Reason | None]:
    """Return why each candidate ended, as far as it was for a shock."""
    found = {}
    for one in record.candidates:
        refused = [d.reason for d in one.decisions if d.gate == "shock" and not d.passed]
        found[one.candidate.symbol] = refused[0] if refused else None
    return found


def calm_but(**others: Series) -> MinuteBars:
    return MinuteBars({symbol: minutes(symbol, CALM) for symbol in ("AAPL", "MSFT", "JPM", "XOM")} | others)


def test_a_symbol_waits_after_its_own_shock_and_the_others_do_not() -> None:
    bars, scene = calm_but(AAPL=minutes("AAPL", CALM, DROP)), Scene(limits=ON)
    assert ends(trade_once(world_of(scene, bars, "AAPL", "MSFT"), call())) == {"AAPL": Reason.SHOCKED, "MSFT": None}
    assert [(need.timeframe, need.depth, need.adjusted) for need in bars.asked] == [("1Min", 32, False)]


@pytest.mark.parametrize(("age_s", "reason"), [(WAIT_S - 1, Reason.SHOCKED), (WAIT_S, None)])
def test_the_wait_is_counted_from_the_end_of_the_minute(age_s: int, reason: Reason | None) -> None:
    bars = calm_but(AAPL=minutes("AAPL", CALM, DROP, ended=NOW - timedelta(seconds=age_s)))
    assert ends(trade_once(world_of(Scene(limits=ON), bars, "AAPL"), call())) == {"AAPL": reason}


def test_three_symbols_together_hold_back_those_that_are_calm_too() -> None:
    shocked = {symbol: minutes(symbol, CALM, DROP) for symbol in ("AAPL", "MSFT", "JPM")}
    record = trade_once(world_of(Scene(limits=ON), calm_but(**shocked), "XOM"), call())
    assert ends(record) == {"XOM": Reason.SHOCKED_EVERYWHERE}
    del shocked["JPM"]
    assert ends(trade_once(world_of(Scene(limits=ON), calm_but(**shocked), "XOM"), call())) == {"XOM": None}


@pytest.mark.parametrize("bars", [MinuteBars(readable=False), MinuteBars()])
def test_without_bars_nobody_knows_and_nothing_is_entered(bars: MinuteBars) -> None:
    scene = Scene(limits=ON)
    assert ends(trade_once(world_of(scene, bars, "AAPL"), call())) == {"AAPL": Reason.SHOCKS_UNKNOWN}
    assert not scene.venue.book


def test_no_bar_is_read_without_the_limit_or_without_an_entry() -> None:
    bars = MinuteBars()
    trade_once(world_of(Scene(), bars, "AAPL"), call())
    trade_once(world_of(Scene(limits=ON), bars), call())
    assert bars.asked == []


def marked(scene: Scene, mark: str) -> None:
    scene.venue.prices["AAPL"] = replace(scene.venue.prices["AAPL"], mark=D(mark), index=D("100"))


def test_a_basis_that_has_come_back_still_waits_by_the_record_of_the_pass_that_saw_it() -> None:
    """Nothing but the recorded passes knows of it, so a restart changes nothing."""
    scene, bars = Scene(limits=BASIS), MinuteBars()
    marked(scene, "98.5")
    assert ends(trade_once(world_of(scene, bars, "AAPL"), call())) == {"AAPL": Reason.BASIS_SHOCK}
    marked(scene, "100")
    scene.later(WAIT_S - 1)
    assert ends(trade_once(world_of(scene, bars, "AAPL"), call(slot="open+59m"))) == {"AAPL": Reason.SHOCKED}
    scene.later(1)
    assert ends(trade_once(world_of(scene, bars, "AAPL"), call(slot="open+60m"))) == {"AAPL": None}
    assert bars.asked == []
