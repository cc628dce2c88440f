"""Stops: behind the best price, at the entry, before liquidation, and in ticks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import held, instrument
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError
from tradebot.exits.exit_rule import ExitMoment, Measure, RuleInput, WatchedPosition
from tradebot.exits.kinds.stops import AtrTrail, BreakEven, LiquidationDistance, Tightening
from tradebot.exits.rules import ExitRulesError, has_stop, parse, rule_levels, worst_stop
from tradebot.model.position import EntryTerms, ExitInputs
from tradebot.model.struct_tools import replace

D = Decimal
STEPS = tuple(Tightening(r=D(r), multiple=D(multiple)) for r, multiple in (("3", "1.5"), ("5", "1.4"), ("8", "1.0")))
TRAIL = AtrTrail(multiple=D("1.5"), arm_r=D(1), tighten=STEPS)
LOOSENING = AtrTrail(multiple=D("1.5"), arm_r=D(0), tighten=(Tightening(r=D(3), multiple=D("1.8")),))


def of(best: str | Decimal, side: int = 1) -> WatchedPosition:
    """Return a position entered at 100 with an ATR of 4 and its stop 2 away, so R is 2; a short is its mirror."""
    kept = EntryTerms(stop_loss_fraction=D("0.02"), atr_fraction=D("0.04"), instrument=instrument())
    return replace(held(str(10 * side)), best=D(best) if side > 0 else 200 - D(best), kept=kept)


@pytest.mark.parametrize(
    ("best", "stop"),
    [
        ("101.99", None),
        ("102", "96"),
        ("106", "100"),  # 3 R
        ("109.99", "103.99"),
        ("110", "104.4"),  # 5 R
        ("116", "112"),  # 8 R
        ("120", "116"),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_the_stop_is_as_close_as_the_best_gain_asks_for(best: str, stop: str | None, side: int) -> None:
    level = TRAIL.level(of(best, side))
    assert level.armed is (stop is not None)
    expected = D(stop) if stop else D(102)
    assert level.price == (expected if side > 0 else 200 - expected)


def test_it_closes_at_its_level_and_not_before() -> None:
    cases = (("110", 1, "104.41"), ("110", 1, "104.4"), ("110", -1, "95.59"), ("110", -1, "95.6"), ("101.99", 1, "90"))
    found = [TRAIL.measure(of(best, side), D(price)) for best, side, price in cases]
    assert [isinstance(one, Measure) and one.closes for one in found] == [False, True, False, True, False]


def test_a_step_with_a_larger_multiple_loosens_nothing() -> None:
    assert LOOSENING.level(of("107")).price == D(101)


@given(st.lists(st.decimals("80", "130", places=2), min_size=2, max_size=12), st.sampled_from([1, -1]))
def test_the_stop_only_moves_toward_profit(prices: list[Decimal], side: int) -> None:
    best, last = D(100), None
    for price in prices:
        best = max(best, price)
        for rule in (TRAIL, LOOSENING):
            level = rule.level(of(best, side))
            if rule is TRAIL and level.armed:
                assert level.price is not None
                assert last is None or (level.price - last) * side >= 0
                last = level.price
            measure = rule.measure(of(best, side), price if side > 0 else 200 - price)
            assert isinstance(measure, Measure)
            stop = level.price if level.armed else None
            assert measure.closes is (stop is not None and ((price if side > 0 else 200 - price) - stop) * side <= 0)


def test_without_the_stop_or_the_range_of_its_entry_it_can_not_tell() -> None:
    one = of("110")
    stopless, rangeless = replace(one.kept, stop_loss_fraction=None), replace(one.kept, atr_fraction=None)
    for kept, missing in ((stopless, RuleInput.ENTRY_STOP), (rangeless, RuleInput.ENTRY_ATR)):
        bare = replace(one, kept=kept)
        assert (TRAIL.measure(bare, D(90)), TRAIL.level(bare).armed, TRAIL.level(bare).price) == (missing, False, None)


KEEPS = {"break_even": {"after_share": 0.3, "keep_fraction": 0.02}}
FALLING = [{"r": 5, "multiple": 1.4}, {"r": 3, "multiple": 1.5}]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"atr_trail": {"multiple": 1.5, "arm_r": 1, "tighten": FALLING}}], "rise from one to the next"),
        ([KEEPS, {"profit_target": {"fraction": 0.02}}], "the target closes first, so break_even could never act"),
        (
            [{"liquidation_distance": {"trim_below": 0.1, "trim_share": 0.5, "close_below": 0.1}}],
            "or it would never trim",
        ),
    ],
)
def test_stop_that_contradicts_itself_or_a_target_does_not_load(listed: list[object], words: str) -> None:
    with pytest.raises(ExitRulesError, match=words):
        parse(listed)
    assert len(parse([KEEPS, {"profit_target": {"fraction": 0.03}}])) == 2


EVEN = BreakEven(after_share=D("0.3"))
FEES = BreakEven(after_share=D("0.3"), keep_fraction=D("0.001"))


def left_of(original: int, quantity: int) -> WatchedPosition:
    """Return what is left of a position that was opened at 100 with `original` shares."""
    return replace(held(str(quantity)), kept=EntryTerms(original_quantity=D(original), instrument=instrument()))


def closes(rule: BreakEven, of: WatchedPosition, price: str | Decimal) -> bool:
    answer = rule.measure(of, D(price))
    assert isinstance(answer, Measure)
    assert answer.shares is None, "it closes all that is left"
    return answer.closes


@pytest.mark.parametrize(
    ("rule", "quantity", "price", "closing"),
    [
        (EVEN, 10, "90", False),
        (EVEN, 8, "90", False),  # a fifth is closed, and three tenths are asked for
        (EVEN, 7, "100.01", False),
        (EVEN, 7, "100", True),
        (EVEN, 1, "99", True),
        (FEES, 7, "100.11", False),
        (FEES, 7, "100.10", True),
        (FEES, 8, "100.10", False),
    ],
)
def test_it_closes_at_the_entry_once_enough_is_out(rule: BreakEven, quantity: int, price: str, closing: bool) -> None:
    assert closes(rule, left_of(10, quantity), price) is closing
    assert closes(rule, left_of(10, -quantity), 200 - D(price)) is closing, "a short is its mirror"


@given(st.integers(1, 500), st.data(), st.decimals("0.01", "0.99", places=2), st.sampled_from([1, -1]))
def test_its_level_is_where_it_closes_while_it_could(
    original: int, data: st.DataObject, share: Decimal, side: int
) -> None:
    quantity = data.draw(st.integers(1, original))
    rule, of = BreakEven(after_share=share), left_of(original, side * quantity)
    level = rule.level(of)
    assert level.armed is (original - quantity >= share * original)
    assert level.price == (D(100) if level.armed else None)
    assert closes(rule, of, D(100)) is level.armed


@given(st.integers(1, 500), st.data(), st.sampled_from([1, -1]))
def test_what_was_closed_at_a_loss_does_not_count(original: int, data: st.DataObject, side: int) -> None:
    quantity = data.draw(st.integers(1, original))
    of = left_of(original, side * quantity)
    lost = data.draw(st.integers(0, original - quantity))
    of = replace(of, position=replace(of.position, lost_quantity=D(lost)))
    assert EVEN.level(of).armed is (original - quantity - lost >= D("0.3") * original)


def test_the_stop_that_rests_is_the_tighter_one() -> None:
    rules = parse([{"stop_loss": {"fraction": 0.05}}, {"break_even": {"after_share": 0.4, "keep_fraction": 0.001}}])
    levels = [rule_levels(left_of(10, left), rules) for left in (7, 6)]
    assert [(each.stop, each.word) for each in levels] == [
        (D(95), "stop_loss"), (D("100.100"), "break_even")
    ]  # fmt: skip


def test_books_that_do_not_know_what_was_opened_close_nothing() -> None:
    of = left_of(9, 10)
    assert EVEN.measure(of, D(90)) == RuleInput.ORIGINAL_QUANTITY
    assert not EVEN.level(of).armed


DISTANCE = LiquidationDistance(trim_below=D("0.18"), trim_share=D("0.5"), close_below=D("0.10"))


def near(distance: str | None, quantity: str = "9") -> WatchedPosition:
    known = ExitInputs(liquidation=None if distance is None else D(distance))
    return replace(held(quantity), outlook=known, kept=EntryTerms(instrument=instrument()))


@pytest.mark.parametrize(
    ("distance", "closes", "shares", "limit"),
    [
        ("0.18", False, "4", "0.18"),
        ("0.1799", True, "4", "0.18"),
        ("0.10", True, "4", "0.18"),
        ("0.0999", True, None, "0.10"),
        ("0", True, None, "0.10"),
    ],
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_it_trims_whole_lots_and_closes_nearer(
    distance: str, closes: bool, shares: str | None, limit: str, sign: str
) -> None:
    found = DISTANCE.judge(near(distance, f"{sign}9"), ExitMoment())
    assert found == Measure(closes, D(distance), D(limit), None if shares is None else D(shares))


def test_a_single_lot_cannot_be_trimmed_and_is_closed_at_last() -> None:
    answers = [DISTANCE.judge(near(distance, "1"), ExitMoment()) for distance in ("0.17", "0.09")]
    assert [isinstance(answer, Measure) and answer.closes for answer in answers] == [False, True]


LISTED = {"liquidation_distance": {"trim_below": 0.36, "trim_share": 0.5, "close_below": 0.1}}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"strategies": {"flow": {"exits": [LISTED]}}}, "can't act: this venue has only cash accounts,"),
        (
            {"venue": "kraken_futures", "strategies": {"rotation": {"exits": [LISTED]}}},
            r"trim_below 0\.36 is not below limits\.min_liquidation_fraction 0\.35: a position could be reduced",
        ),
    ],
)
def test_a_rule_that_could_never_act_or_acts_at_once_does_not_load(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(None, {}, flags)


RULES = parse([{"stop_ticks": {"ticks": 8}}, {"target_ticks": {"ticks": 16}}])
STOP, TARGET = RULES


def future(quantity: str, price: str, tick: str, multiplier: str) -> WatchedPosition:
    contract = instrument(tick=D(tick), multiplier=D(multiplier))
    one = held(quantity, price)
    position = replace(one.position, multiplier=D(multiplier))
    return WatchedPosition(position, one.best, EntryTerms(instrument=contract, original_quantity=abs(D(quantity))))


@pytest.mark.parametrize(
    ("quantity", "entry", "tick", "multiplier", "stop", "target", "risk"),
    [
        ("1", "5000.25", "0.25", "50", "4998.25", "5004.25", "100"),
        ("-1", "5000.25", "0.25", "50", "5002.25", "4996.25", "100"),
        ("1", "1.08005", "0.00005", "125000", "1.07965", "1.08085", "50"),
        ("-2", "1.08005", "0.00005", "125000", "1.08045", "1.07925", "100"),
    ],
)
def test_levels_are_ticks_away(
    quantity: str, entry: str, tick: str, multiplier: str, stop: str, target: str, risk: str
) -> None:
    one = future(quantity, entry, tick, multiplier)
    found = rule_levels(one, RULES)
    assert found.stop == D(stop)
    assert [(each.price, each.shares) for each in found.targets] == [(D(target), abs(D(quantity)))]
    assert one.position.cost - one.position.value_at(D(stop)) == D(risk)
    assert worst_stop(RULES, D(entry), one.kept.instrument) == 8 * D(tick) / D(entry)
    assert has_stop(RULES)
    assert not has_stop([TARGET])


@given(entry=st.integers(200, 40_000), moved=st.integers(-40, 40), side=st.sampled_from(["1", "-1"]))
def test_they_close_at_that_tick_and_not_one_before(entry: int, moved: int, side: str) -> None:
    tick = D("0.25")
    one, price = future(side, str(entry * tick), "0.25", "5"), (entry + moved * int(side)) * tick
    closes = [rule.judge(one, ExitMoment(price=price)) for rule in RULES]
    assert closes == [Measure(moved <= -8, moved, -8), Measure(moved >= 16, moved, 16)]


def test_without_its_instrument_no_stop_of_ticks_rests() -> None:
    assert rule_levels(replace(held("1", "100"), kept=EntryTerms()), RULES).stop is None
