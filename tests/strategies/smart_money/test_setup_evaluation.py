"""One side of a coin: its prices are those of the other side turned over, and a setup is the same only once known."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from tests.kit.strategies import MIDDLE, NOW, trade, view
from tradebot.model.reasons import Reason
from tradebot.strategies.smart_money.coin import Readings, coin_of
from tradebot.strategies.smart_money.filters import SetupSide, decisions
from tradebot.strategies.smart_money.settings import SmartMoneySettings
from tradebot.strategies.smart_money.setup_evaluation import side_of

RULES = SmartMoneySettings()
SEEDS = range(16, 40)
"""Walks among which there is every kind of setup, on either side; the first 24 or 28 lack some."""
BOTH = Decimal("0.01") * 2 * MIDDLE
"""The sum of a price and what it becomes when it is turned over, in USD."""


def sides(sign: int, *, over: bool = False) -> Iterator[SetupSide]:
    seen = view(SEEDS, over=over)
    for symbol in seen.universe:
        yield side_of(coin_of(seen, symbol, Readings(RULES)), sign, RULES)


def test_entry_stop_and_invalid_price_of_a_short_are_those_of_a_long_turned_over() -> None:
    kinds = set()
    for long, short in zip(sides(1), sides(-1, over=True), strict=True):
        if long.levels is None or short.levels is None or long.setup is None:
            continue
        kinds.add(long.setup.kind)
        assert long.levels.entry + short.levels.entry == BOTH
        assert long.levels.invalid + short.levels.invalid == BOTH
        assert abs(long.levels.stop + short.levels.stop - BOTH) < Decimal("1e-8")
    assert len(kinds) >= 3


def test_a_setup_that_was_known_only_after_the_last_entry_is_another_one() -> None:
    now_s, told = NOW.timestamp(), set()
    for side in sides(1):
        if side.setup is None:
            continue
        entered = trade(side.coin.symbol, "0.4", timedelta(minutes=20), timedelta(minutes=30))
        seen = view([int(side.coin.symbol[3:-3])], trades={side.coin.symbol: [entered]})
        again = side_of(coin_of(seen, side.coin.symbol, Readings(RULES)), 1, RULES)
        reasons = {decision.reason for decision in decisions(again, RULES)}
        known = side.setup.known_at < now_s - 30 * 60
        assert (Reason.SETUP_REPEATED in reasons) is known
        told.add(known)
    assert told == {True, False}
