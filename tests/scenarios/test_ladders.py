"""A position that ends in steps, where stops and targets rest apart: targets in R, break-even, a trail, a last target.

The venue's own log is the judge of what rested when.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.core.apart import SLOW, BotApart, capabilities
from tests.kit.judge.gaps import CHANGING, ENDED, TRIGGERS
from tests.suite.tiers import sized
from tradebot.exits.rules import parse
from tradebot.model.candidate import Purpose, Side
from tradebot.model.limits import Protection
from tradebot.model.order import Order
from tradebot.orders import separate_protection
from tradebot.venues.kraken.capabilities import KRAKEN

D = Decimal
STEPS = [{"r": 3, "multiple": "1.5"}, {"r": 5, "multiple": "1.4"}, {"r": 8, "multiple": 1}]
RULES = parse(
    [
        {"ladder": {"levels": [{"r": 1, "share": "0.4"}, {"r": "2.5", "share": "0.4"}]}},
        {"break_even": {"after_share": "0.3"}},
        {"atr_trail": {"multiple": "1.5", "arm_r": 2, "tighten": STEPS}},
    ]
)
CAN = capabilities(KRAKEN.edit, reduce_only=KRAKEN.reduce_only, pairs=KRAKEN.pairs)
"""As at Kraken Futures: orders that only reduce, no pairs, and no changes of a stop."""


def entered(price: str = "100", side: Side = Side.BUY) -> BotApart:
    """Return a bot with ten shares at 100, stopped at 2.9 %, whose next pass sees this price."""
    asked = {"stop_loss_fraction": D("0.029"), "atr_fraction": D("0.02"), "profit_target_fraction": D("0.1")}
    bot = BotApart(CAN, RULES, **asked)
    # Where ids are free again once an order is over, the venue's history proves what became of a request.
    bot.venue.has_history = True
    order = bot.enter(side)
    assert order is not None, "the entry was refused"
    bot.venue.fill(order.client_order_id, "100")
    at(bot, price)
    return bot


def at(bot: BotApart, price: str | Decimal, fates: Iterable[str] = ()) -> None:
    """Let the price move, and a pass look at it."""
    bot.scene.price("AAPL", str(price))
    bot.venue.fates = list(fates)
    bot.exits()
    bot.venue.catch_up()


def targets(bot: BotApart) -> list[tuple[str, int]]:
    resting = sorted(bot.venue.targets(), key=lambda order: order.limit_price or 0)
    return [(f"{order.limit_price:.2f}", int(order.open_quantity)) for order in resting]


def stops(bot: BotApart) -> list[tuple[str, int]]:
    return [(f"{order.stop_price:.2f}", int(order.open_quantity)) for order in bot.venue.stops()]


def take(bot: BotApart, price: str) -> None:
    """Let the market fill the nearest target."""
    bot.venue.fill(min(bot.venue.targets(), key=lambda order: order.limit_price or 0).client_order_id, price)


def test_a_position_ends_step_by_step() -> None:
    bot = entered()
    assert targets(bot) == [("102.90", 4), ("107.25", 4), ("110.00", 2)]
    assert stops(bot) == [("97.10", 10)]
    take(bot, "102.90")
    at(bot, "102.9")
    assert (stops(bot), targets(bot)) == ([("100.00", 6)], [("107.25", 4), ("110.00", 2)]), "break-even"
    at(bot, "106.5")
    assert stops(bot) == [("103.50", 6)], "1.5 ranges of 2 USD behind the best price"
    take(bot, "107.25")
    at(bot, "104")
    assert (stops(bot), targets(bot)) == ([("103.50", 2)], [("110.00", 2)]), "it follows no price back"
    take(bot, "110")
    at(bot, "110")
    assert (bot.position, stops(bot), targets(bot)) == (D(0), [], [])


@pytest.mark.parametrize(("shares", "stop"), [(2, "97.10"), (3, "100.00")])
def test_a_target_that_fills_in_part_moves_the_stop_once_enough_is_closed(shares: int, stop: str) -> None:
    bot = entered()
    first = min(bot.venue.targets(), key=lambda order: order.limit_price or 0)
    bot.venue.fill(first.client_order_id, "102.90", D(shares))
    at(bot, "102")
    assert stops(bot) == [(stop, 10 - shares)]


def test_a_stop_that_fills_in_part_neither_moves_the_stop_to_the_entry_nor_closes_the_rest() -> None:
    bot = entered()
    (stop,) = bot.venue.stops()
    bot.venue.fill(stop.client_order_id, "97.10", D(3))
    at(bot, "99")
    assert (stops(bot), bot.venue.working(Purpose.CLOSE, Purpose.REDUCE)) == ([("97.10", 7)], [])
    take(bot, "102.90")
    at(bot, "102.9")
    assert stops(bot) == [("100.00", 3)], "four of ten were closed at a gain"


def test_a_level_that_was_passed_at_the_fill_stays_skipped_and_the_others_are_placed() -> None:
    bot = entered("103")
    placed = [("107.25", 4), ("110.00", 6)]
    assert (targets(bot), stops(bot)) == (placed, [("97.10", 10)])
    for price in ("102", "102.9", "101", "104"):
        at(bot, price)
        assert (targets(bot), bot.position) == (placed, D(10))


def test_a_pass_closes_at_a_level_what_would_rest_there() -> None:
    for first, closes in (("100", "4"), ("103", "0")):
        bot = entered(first)
        bot.scene.exits = bot.scene.exits.model_copy(update={"protection": Protection.BOT})
        at(bot, "101")
        assert (targets(bot), stops(bot)) == ([], [])
        at(bot, "103")
        assert sum(order.open_quantity for order in bot.venue.working(Purpose.REDUCE)) == D(closes)


def broken(log: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield where shares that had a stop had none before their close, and where a stop moved away from profit.

    The log is of one symbol. What an entry adds is protected by the next pass.
    """
    open_, held, was_covered, best = dict[str, Mapping[str, Any]](), D(0), False, None
    for line in (line for line in log if line.get("stop_price") or line["event"] == "fill"):
        if line["event"] == "fill":
            was_covered &= ".OPEN." not in line["client_order_id"]
            held = D(line["position"])
        if line["status"] in ENDED:
            open_.pop(line["order_id"], None)
        elif line.get("stop_price") and line["status"] in TRIGGERS | CHANGING:
            open_[line["order_id"]] = line
        covered = sum((D(one["qty"]) - D(one["filled_qty"]) for one in open_.values()), D(0))
        was_covered = bool(held) and (was_covered or covered >= abs(held))
        if was_covered and covered < abs(held):
            yield f"{line['at']}: {covered} of {abs(held)} have a stop"
        sign = 1 if held > 0 else -1
        tightest = max((D(one["stop_price"]) * sign for one in open_.values()), default=None)
        if was_covered and best is not None and tightest is not None and tightest < best:
            yield f"{line['at']}: the stop moved from {best} to {tightest}"
        best = tightest if was_covered else None


def lived(prices: Iterable[Decimal], side: Side, fates: Iterable[str] = ()) -> list[str]:
    """Let the price take its way, with fills of what it reaches and a pass after each move; return what was broken."""
    bot, sign = entered(side=side), side.sign
    for price in prices:
        shown = 100 + sign * (price - 100)
        for order in (*bot.venue.targets(), *bot.venue.stops()):
            if _reached(order, shown, sign):
                bot.venue.fill(order.client_order_id, str(order.limit_price or order.stop_price))
        at(bot, shown, fates)
        if not bot.position:
            break
    return list(broken(line for line in bot.venue.log if "status" in line))


def _reached(order: Order, price: Decimal, sign: int) -> bool:
    if order.limit_price is not None:
        return (price - order.limit_price) * sign >= 0
    return order.stop_price is not None and (price - order.stop_price) * sign <= 0


WAYS = st.lists(st.decimals("96", "125", places=1), min_size=2, max_size=8)


@pytest.mark.sampled
def test_a_stop_always_rests_while_it_moves_and_moves_toward_profit_only() -> None:
    @settings(deadline=None, database=None, max_examples=sized(12, 400), suppress_health_check=list(HealthCheck))
    @given(WAYS, st.sampled_from(Side), st.lists(st.sampled_from(["", SLOW]), max_size=2))
    def holds(way: list[Decimal], side: Side, fates: list[str]) -> None:
        assert lived(way, side, fates) == []

    holds()


UP = [D(103), D("106.5"), D(109)]


def test_a_bot_that_cancels_the_old_stop_too_soon_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lived(UP, Side.BUY, [SLOW]) == []
    monkeypatch.setattr(separate_protection, "_is_resting", lambda world, placed: placed.terminal is None)
    assert lived(UP, Side.BUY, [SLOW])
