"""The made-up perpetuals: 56 of them as a venue lists them, with trends of their own and shocks that they share."""

from datetime import date
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from statistics import mean

import pytest
from msgspec.structs import replace

from exchange.tests.kit.kraken import START
from papervenue.chance import draw_bell, random_stream
from papervenue.market.coins import FACE, SYMBOLS, coins, kraken_venue
from papervenue.market.generator import GeneratedBars, _path
from papervenue.market.profiles import BarProfile
from papervenue.market.sessions import Calendar, build_calendar
from papervenue.market.spec import MarketSpec
from papervenue.market.venue import Grid, Instrument
from papervenue.times import MINUTE


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return build_calendar(START, 4, "24/7")


def bars_of(calendar: Calendar, *listed: Instrument, seed: int = 5, trends: bool = True) -> GeneratedBars:
    return GeneratedBars(seed, calendar, map(Grid, listed), trends=trends)


def test_fifty_six_coins_are_listed_as_a_market_takes_them() -> None:
    listed = coins(5)
    assert len(listed) == len(set(SYMBOLS)) == 56
    assert [one.symbol for one in listed] == list(SYMBOLS)
    spec = MarketSpec(start=date(2026, 1, 5), symbols=SYMBOLS, venue=kraken_venue(5))
    assert MarketSpec.from_json(spec.to_json()) == spec
    assert spec.venue.faces == (FACE,)
    for one in listed:
        assert not list(one.problems())
        tick, lot = one.ticks[0].tick, one.lot
        assert Decimal("0.000001") <= tick / one.level <= Decimal("0.001"), one.symbol
        assert lot * one.level < 10, one.symbol
        assert all(quantity % lot == 0 for quantity in [level.quantity for level in one.margin_levels])
        assert abs(one.funding / one.level) < Decimal("0.0001")


def test_seed_decides_on_funding_of_which_some_is_paid_and_some_received() -> None:
    rates = [one.funding for one in coins(5)]
    assert 5 < sum(rate < 0 for rate in rates) < 28
    assert [replace(one, funding=Decimal(0)) for one in coins(6)] == [
        replace(one, funding=Decimal(0)) for one in coins(5)
    ]
    assert [one.funding for one in coins(6)] != rates


def test_market_begins_at_its_level_and_trades_what_the_table_says(calendar: Calendar) -> None:
    xbt = coins(5)[0]
    bars = bars_of(calendar, xbt)
    assert bars.history_close(xbt.symbol, 1) == 92_000 * 10_000
    traded = sum(bar.volume for bar in bars.bars(xbt.symbol, 0))
    assert Decimal("0.7") < traded / xbt.volume < Decimal("1.3")


def test_shock_moves_every_coin_within_a_quarter_of_an_hour(calendar: Calendar) -> None:
    listed = coins(5)[:3]
    bars = bars_of(calendar, *listed)
    shocks = bars._makers["PF_XBTUSD"].shocks
    assert shocks is not None
    days = [calendar.position_of(day) - calendar.first for day in shocks]
    assert 8 <= len(days) <= 11
    last, size = max(zip(days, shocks.values(), strict=True))
    falls = []
    for one in listed:
        closes = [bar.close for bar in bars.bars(one.symbol, last)]
        moves = [
            (after / before - 1, index) for index, (before, after) in enumerate(zip(closes, closes[15:], strict=False))
        ]
        falls.append(min(moves) if size < 0 else max(moves))
    assert all(
        move == pytest.approx(size * float(one.beta), abs=0.025) for (move, _), one in zip(falls, listed, strict=True)
    )
    assert max(index for _, index in falls) - min(index for _, index in falls) < 10


def test_coin_leans_one_way_for_days_and_one_without_a_volatility_does_not(calendar: Calendar) -> None:
    """A trend is days in a row whose moves have something in common: their sums are larger than those of chance."""

    def spread(listed: Instrument, seed: int, *, trends: bool = True) -> float:
        closes = bars_of(calendar, listed, seed=seed, trends=trends)._closes(listed.symbol)
        moves = [after / before - 1 for before, after in pairwise(closes)]
        tens = [sum(moves[index : index + 10]) for index in range(0, len(moves) - 9, 10)]
        return mean(one * one for one in tens) / (10 * mean(one * one for one in moves))

    ada = next(one for one in coins(5) if one.symbol == "PF_ADAUSD")
    plain = replace(ada, volatility=Decimal(0))
    assert mean(spread(ada, seed) for seed in range(6)) > 1.5 > 1.3 > mean(spread(plain, seed) for seed in range(6))
    assert 0.7 < mean(spread(ada, seed, trends=False) for seed in range(6)) < 1.3


def test_usual_market_is_to_the_byte_what_it_was_before_one_could_be_without_trends() -> None:
    calendar = build_calendar(date(2026, 11, 16), 3, "24/7")
    source, digest = GeneratedBars(7, calendar, map(Grid, coins(7, ("PF_XBTUSD", "PF_PEPEUSD")))), sha256()
    for symbol in ("PF_XBTUSD", "PF_PEPEUSD"):
        for index in (-2, 0, 1, 2):
            digest.update(repr([tuple(bar) for bar in source.bars(symbol, index)]).encode())
        days = [source.history_day(symbol, before) for before in (1, 200, 700)]
        digest.update(repr([tuple(day) for day in days if day]).encode())
    assert digest.hexdigest() == "ea046ee576ca0a580d4551892783f24a15c6b5c2eb069f5eb15c37c7195a5a31"
    usual = MarketSpec(start=START, symbols=SYMBOLS, venue=kraken_venue(5))
    assert "trends" not in usual.to_fields()
    assert MarketSpec.from_json(replace(usual, trends=False).to_json()).trends is False


def test_market_without_trends_has_no_shocks_and_no_move_that_says_where_its_day_goes(calendar: Calendar) -> None:
    """Between its busy ends, the first half of a usual day predicts the second; nothing does where nothing may."""
    ada = next(one for one in coins(5) if one.symbol == "PF_ADAUSD")
    day = calendar.market[0]
    short = day._replace(close_us=day.open_us + 48 * MINUTE)

    def alike(*, trends: bool) -> float:
        maker, products, squares = bars_of(calendar, ada, trends=trends)._makers[ada.symbol], 0.0, 0.0
        alone = maker.character._replace(beta=0.0)
        maker = BarProfile(alone, maker.units, maker.scale, maker.least, 0.0, fair=maker.fair)
        for number in range(1_500):
            rng = random_stream(5, "day", number)
            close = 1 + alone.daily_volatility * draw_bell(rng)
            path = _path(5, short, (1.0, close), maker, rng)
            assert path[-1] == pytest.approx(close)
            first, second = path[23] - path[11], path[35] - path[23]
            products, squares = products + first * second, squares + (first * first + second * second) / 2
        return products / squares

    assert bars_of(calendar, ada, trends=False)._makers[ada.symbol].shocks is None
    assert abs(alike(trends=False)) < 0.1 < 0.2 < alike(trends=True)


def test_character_that_cannot_be_is_a_problem() -> None:
    xbt = coins(5)[0]
    for wrong in ({"volatility": Decimal(1)}, {"volume": Decimal(-1)}, {"beta": Decimal("NaN")}):
        assert len(list(replace(xbt, **wrong).problems())) == 1
